"""Tasks that follow tasks: they wait for others to end."""
