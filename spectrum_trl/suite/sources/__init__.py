"""Tasks from real datasets: one short module per source."""
