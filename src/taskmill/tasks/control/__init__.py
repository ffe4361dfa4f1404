"""Control: what people and programs do to tasks that are there."""
