"""The demo: a guest talks to a twin; every claim is checked before it is printed."""
