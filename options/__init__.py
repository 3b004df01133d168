"""The command line -> one checked, frozen `opt`."""
