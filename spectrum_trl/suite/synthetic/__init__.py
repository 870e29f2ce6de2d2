"""Tasks generated from a seed, with their Bayes-optimal predictives: one short module per family."""
