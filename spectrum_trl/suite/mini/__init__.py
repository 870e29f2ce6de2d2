"""A miniature world that the embedded model can learn: its base corpus, tuning tasks and held-out tasks.

These tasks are additions of this project, not part of the paper's Suite.
"""
