"""From the tasks of a recipe to token ids and loss masks."""
