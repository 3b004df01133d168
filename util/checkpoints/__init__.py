"""The files in `<checkpoints_dir>/<name>`: weights, training state, options."""
