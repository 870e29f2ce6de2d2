"""The tiny base model of `make demo`: its weights, the world it can learn, and its evaluation."""
