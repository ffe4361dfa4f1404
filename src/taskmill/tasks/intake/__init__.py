"""Intake: from a request to a stored task with its place in line."""
