"""The three axes as lm-evaluation-harness tasks: steerability, alignment, diversity and validity."""
