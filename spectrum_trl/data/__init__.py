"""Turn a recipe's tasks into token ids and loss masks."""
