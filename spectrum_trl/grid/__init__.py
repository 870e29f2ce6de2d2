"""Grids: many evaluations or runs from one file, on this machine or through SLURM."""
