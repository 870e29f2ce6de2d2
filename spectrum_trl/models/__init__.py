"""Load models, prepare role tokens, initialise new models, merge adapters."""
