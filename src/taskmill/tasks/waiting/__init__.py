"""Requests whose answer waits for a task to end."""
