"""The command line ``digitwin``: one module for each group of commands."""
