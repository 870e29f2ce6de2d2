"""A user's own tasks in the evaluations."""
