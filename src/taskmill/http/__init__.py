"""HTTP: servers, routers and endpoints declared as entries."""

from taskmill.http.around import Around
from taskmill.http.auth.caller import Caller
from taskmill.http.body import decode_body, parse_body, parse_open_body
from taskmill.http.endpoint import HttpEndpoint
from taskmill.http.exchange import JSON, Exchange, direct
from taskmill.http.figures import OVERLOADED
from taskmill.http.openapi import document, types_of
from taskmill.http.openapi_api import answer_openapi, describe_server
from taskmill.http.openapi_schemas import Schemas
from taskmill.http.operation import Answer, Link, Operation, Served, means, scope_of
from taskmill.http.problem import BadRequest, FieldError, problem
from taskmill.http.query import parse_open_query, parse_query
from taskmill.http.router import HttpRouter
from taskmill.http.routing import caller_of
from taskmill.http.service import HttpService
from taskmill.http.streaming import Stream, streaming

__all__ = [
    "JSON",
    "OVERLOADED",
    "Answer",
    "Around",
    "BadRequest",
    "Caller",
    "Exchange",
    "FieldError",
    "HttpEndpoint",
    "HttpRouter",
    "HttpService",
    "Link",
    "Operation",
    "Schemas",
    "Served",
    "Stream",
    "answer_openapi",
    "caller_of",
    "decode_body",
    "describe_server",
    "direct",
    "document",
    "means",
    "parse_body",
    "parse_open_body",
    "parse_open_query",
    "parse_query",
    "problem",
    "scope_of",
    "streaming",
    "types_of",
]
