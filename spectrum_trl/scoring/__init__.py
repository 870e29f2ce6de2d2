"""Log probabilities and samples of a causal language model."""
