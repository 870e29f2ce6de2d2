"""Metrics as pure functions: arrays in, named tuples out."""
