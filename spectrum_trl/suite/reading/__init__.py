"""Read tables of any size and format, and their cells as text."""
