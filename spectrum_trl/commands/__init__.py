"""The command ``spectrum-trl``: one verb, one module."""
