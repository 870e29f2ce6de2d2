"""Tasks from a user's own tables, for training and evaluation; `evaluation.own` has the other kinds."""
