"""The databases of our tests come from the plugin that users install: ``digitwin.testing``."""

pytest_plugins = ["pytester"]
