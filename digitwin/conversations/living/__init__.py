"""Turns as they live: opened, extended, closed; and the sessions around them."""
