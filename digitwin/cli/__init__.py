"""The command line ``digitwin``: one module per group of commands."""
