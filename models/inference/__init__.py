"""A trained generator at work: images of any size, whole or in tiles."""
