"""The three axes as tasks of lm-evaluation-harness: steerability, alignment, and diversity against validity."""
