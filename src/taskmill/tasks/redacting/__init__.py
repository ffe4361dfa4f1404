"""Fields of tasks that are shown to nobody but who runs them."""
