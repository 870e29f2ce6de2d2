"""A language model that tells valid answers where no rule can, and whether it agrees with people."""
