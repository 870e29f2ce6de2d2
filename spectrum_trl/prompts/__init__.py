"""What a conversation is, and how it becomes the text of a prompt."""
