"""The dashboard in visdom: its client, its server on this machine, and the sink that draws."""
