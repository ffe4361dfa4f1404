"""Bulk: many tasks with one request, all or none, or line by line as they come."""
