"""What inference writes: pages, a folder of images, or a video."""
