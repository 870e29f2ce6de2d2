"""Tasks from real datasets: one short module per source, and one for all multiple-choice benchmarks."""
