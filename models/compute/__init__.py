"""How networks are applied and optimized: precision, compilation, forward passes, steps."""
