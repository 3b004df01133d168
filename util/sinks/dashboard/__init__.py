"""The visdom dashboard: its sink, its client, and its server on this machine."""
