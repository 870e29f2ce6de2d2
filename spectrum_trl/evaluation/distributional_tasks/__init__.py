"""Tasks of distributional alignment: questions whose distribution of answers is known."""
