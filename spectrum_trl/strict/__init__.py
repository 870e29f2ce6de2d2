"""Read YAML and JSON from outside strictly: what loaders pass over in silence is an error."""
