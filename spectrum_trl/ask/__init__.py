"""Ask a tuned model: probabilities of answers, samples, whole distributions, and losses."""
