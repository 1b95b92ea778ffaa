"""One decoder for each shape in which posts arrive."""
