"""Outboxes: tables of the user's own that become tasks, row by row."""
