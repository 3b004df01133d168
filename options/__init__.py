"""From the command line to one checked, frozen `opt`."""
