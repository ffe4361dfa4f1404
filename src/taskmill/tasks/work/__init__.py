"""Work: attempts under way."""
