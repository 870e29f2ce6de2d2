"""The tiny models of `make demo`: their weights, the world that they can learn, and its evaluation."""
