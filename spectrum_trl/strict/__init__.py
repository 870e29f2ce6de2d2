"""Strict reading of external YAML and JSON: what loaders silently accept is an error."""
