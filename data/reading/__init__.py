"""From a file to a resized uint8 image, cached."""
