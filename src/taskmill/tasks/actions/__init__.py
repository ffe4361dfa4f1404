"""Actions: what tasks run, and how they are declared."""
