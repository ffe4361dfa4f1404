"""HTTP: servers, routers and endpoints declared as entries."""

from taskmill.http.body import parse_body
from taskmill.http.endpoint import HttpEndpoint
from taskmill.http.exchange import JSON, Exchange, direct
from taskmill.http.openapi import document, types_of
from taskmill.http.openapi_api import answer_openapi, describe_server
from taskmill.http.openapi_schemas import Schemas
from taskmill.http.operation import Answer, Link, Operation, Served, means
from taskmill.http.problem import BadRequest, FieldError, problem
from taskmill.http.query import parse_query
from taskmill.http.router import HttpRouter
from taskmill.http.service import HttpService

__all__ = [
    "JSON",
    "Answer",
    "BadRequest",
    "Exchange",
    "FieldError",
    "HttpEndpoint",
    "HttpRouter",
    "HttpService",
    "Link",
    "Operation",
    "Schemas",
    "Served",
    "answer_openapi",
    "describe_server",
    "direct",
    "document",
    "means",
    "parse_body",
    "parse_query",
    "problem",
    "types_of",
]
