"""A package, so that no `tests` of an installed package is taken for it in child processes."""
