"""From a file to a uint8 picture after the resize, cached."""
