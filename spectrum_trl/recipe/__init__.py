"""What a user writes in a recipe and on the command line, read and checked."""
