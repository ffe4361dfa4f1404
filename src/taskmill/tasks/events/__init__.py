"""Events: what happens to tasks, told to those who watch, as it happens."""
