"""Rows: the tables of the task queue, every statement on them, and who reads and writes."""
