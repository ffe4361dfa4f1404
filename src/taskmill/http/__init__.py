"""HTTP: servers, routers and endpoints declared as entries."""

from taskmill.http.body import parse_body
from taskmill.http.endpoint import HttpEndpoint
from taskmill.http.exchange import JSON, Exchange, direct
from taskmill.http.problem import BadRequest, FieldError, problem
from taskmill.http.query import parse_query
from taskmill.http.router import HttpRouter
from taskmill.http.service import HttpService

__all__ = [
    "JSON",
    "BadRequest",
    "Exchange",
    "FieldError",
    "HttpEndpoint",
    "HttpRouter",
    "HttpService",
    "direct",
    "parse_body",
    "parse_query",
    "problem",
]
