"""An OpenAI-compatible server: any client of that interface asks a model."""
