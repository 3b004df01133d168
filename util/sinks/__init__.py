"""Sinks for the losses and images of a training; each imports its optional package itself."""
