"""Rate limits: token buckets, policies and usage."""
