"""What a tag is about, and what is about it."""
