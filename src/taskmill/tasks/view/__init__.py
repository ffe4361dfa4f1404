"""Views: what people and programs are shown of tasks and queues."""
