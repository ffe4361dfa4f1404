"""Notes: what attempts say of themselves while they run, their progress and their log."""
