"""The contestants: one module each, with a method for each operation that it offers."""
