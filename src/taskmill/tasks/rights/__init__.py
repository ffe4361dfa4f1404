"""What a caller sees and does of tasks, where callers are told apart and some are limited."""
