"""Conversations, and their rendering as prompts."""
