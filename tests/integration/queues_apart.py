"""An application with two queues, the second one named `mail`, each with a consumer of its own."""

from pathlib import Path

from apps import application

SECOND = """
  - name: mail_queue
    kind: queue.queue
    driver: queue_driver
    queue_name: mail

  - name: mail_consumer
    kind: queue.consumer
    queue: mail_queue
    func: process_task
"""


def with_mail(directory: Path, actions: str, more: str = "") -> Path:
    """Write the application into a directory, with more entries, and return that."""
    application(directory, actions)
    index = directory / "_index.yaml"
    text = index.read_text().replace(
        "    queue: tasks_queue\n    host:", "    queue: tasks_queue\n    queues: [mail_queue]\n    host:"
    )
    assert "mail_queue" in text
    index.write_text(text + SECOND + more)
    return directory
