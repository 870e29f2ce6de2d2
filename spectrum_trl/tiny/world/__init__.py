"""Distributions that the tiny model can learn: its base corpus, tuning tasks, and what is held out.

These tasks are additions of this project, not part of the paper's Suite.
"""
