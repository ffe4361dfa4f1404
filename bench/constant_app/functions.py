"""A direct handler that stores nothing and runs nothing."""

from taskmill.http import Exchange, direct

BODY = b'{"id":"01980f6e-7a2b-7c3d-8e4f-5a6b7c8d9e0f","status":"queued"}'
HEADERS = b"location: /tasks/01980f6e-7a2b-7c3d-8e4f-5a6b7c8d9e0f\r\n"


@direct
def create_task(exchange: Exchange) -> None:
    """Answer without looking at what was asked."""
    exchange.reply(202, BODY, headers=HEADERS)
