"""Compute log-probabilities and draw samples from a causal language model."""
