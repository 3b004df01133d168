"""What 02_inference.py reads: the pictures of a folder, the frames of a video, fixed samples."""
