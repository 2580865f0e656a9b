"""A person's right to their data: to have all of it, and to have all of it gone."""
