"""Build sequences of samples from rows or from a seed: the code that tasks share."""
