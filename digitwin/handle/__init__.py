"""Parts of the handle: scopes, integrations, health."""
