"""What lies in `<checkpoints_dir>/<name>`: weights, training state, options."""
