"""Tasks that are run by sending them: data goes out over HTTP, signed, and the answer is the result."""
