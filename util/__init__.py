"""What data, models and options share (errors, files, threads, images); it imports none of them."""
