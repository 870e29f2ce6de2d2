"""Distributions that the tiny model can learn: base corpus, tuning tasks, and held-out items.

This project adds these tasks; they are not part of the paper's Suite.
"""
