"""Get the files of sources: downloaded, checked, locked, and what is missing told."""
