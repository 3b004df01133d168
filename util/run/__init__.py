"""The course of a training: progress, health, saving, resuming, stopping."""
