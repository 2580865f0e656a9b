"""The demo: a guest talks to a twin, and every claim is checked before it is shown."""
