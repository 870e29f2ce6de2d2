"""Read and check recipes and their command-line options."""
