"""Images for inference: those of a folder, the frames of a video, fixed and held-out samples."""
