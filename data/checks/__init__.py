"""Checks of a data folder before a training: counts, sizes, files that cannot be read, copies."""
