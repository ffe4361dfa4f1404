"""Who asks: API keys and signed tokens, and what each may do."""
