"""The OpenAPI document of the task queue: what its endpoints say in words that they share, and its actions."""
