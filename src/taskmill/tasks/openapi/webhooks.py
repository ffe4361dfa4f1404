"""What a server sends by itself, in an OpenAPI document: callbacks."""

from __future__ import annotations

from typing import Any

from taskmill.http import Schemas
from taskmill.tasks.callback.told import Told

_HEADERS = {
    "webhook-id": "The id of the message, the same each time that it is sent.",
    "webhook-timestamp": "When it is sent this time, in seconds since 1970.",
    "webhook-signature": "`v1,` and the HMAC-SHA256 of `id.timestamp.body` in Base64, once for each secret.",
}


def describe(schemas: Schemas) -> dict[str, Any]:
    """Return the section `webhooks`. ``schemas`` know what is told."""
    parameters = [
        {"name": name, "in": "header", "required": True, "description": text, "schema": {"type": "string"}}
        for name, text in _HEADERS.items()
    ]
    answers = {
        "2XX": "It was taken.",
        "408": "It is sent again later, as for 425, 429 and 5XX, after `Retry-After` where that is given.",
        "410": "It is never sent again, as for all others.",
    }
    operation = {
        "operationId": "task_ended",
        "summary": "A task has ended",
        "description": "Sent to the `callback` of a task, its action or its queue, signed by Standard Webhooks, where "
        "an entry of the kind `task.webhooks` says how.",
        "parameters": parameters,
        "requestBody": {"required": True, "content": {"application/json": {"schema": schemas.of(Told)}}},
        "responses": {status: {"description": text} for status, text in answers.items()},
    }
    return {"task_ended": {"post": operation}}
