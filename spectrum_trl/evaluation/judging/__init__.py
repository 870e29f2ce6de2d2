"""Judge answers with a language model if no rule can check them, and measure its agreement with people."""
