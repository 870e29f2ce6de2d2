"""Tasks read from real data sets: one short file a source."""
