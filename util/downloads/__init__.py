"""Downloads of published data sets and models; only the standard library is needed."""
