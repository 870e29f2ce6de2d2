"""Tasks from a user's own tables."""
