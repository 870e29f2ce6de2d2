"""The folder of a run: who may write there, what a run leaves, and how it is continued."""
