"""Load a model, prepare its role tokens, or initialise a new one."""
