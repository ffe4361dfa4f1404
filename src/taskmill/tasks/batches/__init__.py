"""Batches: tasks that belong together, with one more that runs once all of them have ended."""
