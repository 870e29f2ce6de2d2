"""A page to play with a model: type a question, and see its probabilities move."""
