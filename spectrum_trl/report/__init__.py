"""Any number of evaluations as one page: figures, pictures and samples to read."""
