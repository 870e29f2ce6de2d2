"""Load a model, train it on the data, and save it."""
