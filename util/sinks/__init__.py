"""Where records of a run go: each sink is small, independent and imports its package itself."""
