"""Retention: what has ended goes after a while."""
