"""Run folders: locking, records, checkpoints and resuming."""
