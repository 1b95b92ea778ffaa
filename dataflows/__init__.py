"""The flows: what is wired to what."""
