"""What a twin remembers of a person for good: values under a namespace and a key."""
