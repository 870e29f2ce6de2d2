"""Measure a causal language model: score it, sample it, and report on distributions known exactly."""
