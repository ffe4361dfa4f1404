"""What each database says in its own words, once."""

from __future__ import annotations

from typing import Any

from sqlalchemy import LargeBinary, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Boolean


class first_id(FunctionElement[bytes]):  # noqa: N801 - a function of SQL
    """The least of some ids. PostgreSQL before 18 knows no least of byte strings."""

    type = LargeBinary()
    inherit_cache = True
    name = "first_id"


class has_tag(FunctionElement[bool]):  # noqa: N801 - a function of SQL
    """Whether a JSON list of texts, the first argument, has the second one in it."""

    type = Boolean()
    inherit_cache = True
    name = "has_tag"


@compiles(first_id)
def _first_id(element: first_id, compiler: Any, **options: Any) -> str:
    return f"min({compiler.process(element.clauses, **options)})"


@compiles(first_id, "postgresql")
def _first_id_postgresql(element: first_id, compiler: Any, **options: Any) -> str:
    ids = compiler.process(element.clauses, **options)
    return f"""decode(min(encode({ids}, 'hex') COLLATE "C"), 'hex')"""


@compiles(has_tag)
def _has_tag(element: has_tag, compiler: Any, **options: Any) -> str:
    tags, tag = _two(element, compiler, options)
    return f"EXISTS (SELECT 1 FROM json_each({tags}) AS each WHERE each.value = {tag})"  # noqa: S608 - no value


@compiles(has_tag, "postgresql")
def _has_tag_postgresql(element: has_tag, compiler: Any, **options: Any) -> str:
    tags, tag = _two(element, compiler, options)
    # As JSON writes them, since it can write a NUL, and PostgreSQL cannot read one.
    each = f"json_array_elements(CAST({tags} AS json)) AS each"
    return f"EXISTS (SELECT 1 FROM {each} WHERE CAST(each.value AS text) = CAST(to_json(CAST({tag} AS text)) AS text))"  # noqa: S608 - no value


@compiles(has_tag, "mysql")
def _has_tag_mysql(element: has_tag, compiler: Any, **options: Any) -> str:
    tags, tag = _two(element, compiler, options)
    return f"JSON_CONTAINS({tags}, JSON_QUOTE({tag}))"


def _two(element: has_tag, compiler: Any, options: dict[str, Any]) -> list[str]:
    return [compiler.process(clause, **options) for clause in element.clauses]


class id_text(FunctionElement[str]):  # noqa: N801 - a function of SQL
    """An id as people write it."""

    type = Text()
    inherit_cache = True
    name = "id_text"


class time_text(FunctionElement[str]):  # noqa: N801 - a function of SQL
    """Milliseconds since 1970 as RFC 3339 in UTC."""

    type = Text()
    inherit_cache = True
    name = "time_text"


_PARTS = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))  # of an id's hexadecimal digits


def _one(element: Any, compiler: Any, options: dict[str, Any]) -> str:
    (clause,) = element.clauses
    return str(compiler.process(clause, **options))


@compiles(id_text)
def _id_text(element: id_text, compiler: Any, **options: Any) -> str:
    id_ = _one(element, compiler, options)
    parts = [f"substr(hex({id_}), {at}, {count})" for at, count in _PARTS]
    return "lower(" + " || '-' || ".join(parts) + ")"


@compiles(id_text, "postgresql")
def _id_text_postgresql(element: id_text, compiler: Any, **options: Any) -> str:
    return f"CAST(CAST(encode({_one(element, compiler, options)}, 'hex') AS uuid) AS text)"


@compiles(id_text, "mysql")
def _id_text_mysql(element: id_text, compiler: Any, **options: Any) -> str:
    id_ = _one(element, compiler, options)
    parts = ", ".join(f"SUBSTR(HEX({id_}), {at}, {count})" for at, count in _PARTS)
    return f"CASE WHEN {id_} IS NOT NULL THEN LOWER(CONCAT_WS('-', {parts})) END"


@compiles(time_text)
def _time_text(element: time_text, compiler: Any, **options: Any) -> str:
    at = _one(element, compiler, options)
    return f"strftime('%Y-%m-%dT%H:%M:%S', {at} / 1000, 'unixepoch') || printf('.%03dZ', {at} % 1000)"


@compiles(time_text, "postgresql")
def _time_text_postgresql(element: time_text, compiler: Any, **options: Any) -> str:
    at = _one(element, compiler, options)
    return f"""to_char(to_timestamp({at} / 1000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""


@compiles(time_text, "mysql")
def _time_text_mysql(element: time_text, compiler: Any, **options: Any) -> str:
    at = _one(element, compiler, options)
    seconds = f"DATE_ADD('1970-01-01', INTERVAL {at} DIV 1000 SECOND)"
    return f"CONCAT(DATE_FORMAT({seconds}, '%Y-%m-%dT%H:%i:%s'), '.', LPAD({at} MOD 1000, 3, '0'), 'Z')"
