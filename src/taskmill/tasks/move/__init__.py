"""Moving all tasks to another database while they are served."""
