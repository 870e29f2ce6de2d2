"""Tasks of diversity and validity: prompts with many valid answers, and their validators."""
