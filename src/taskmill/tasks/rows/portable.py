"""What each database says in its own words, once."""

from __future__ import annotations

from typing import Any

from sqlalchemy import LargeBinary
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
    return f"EXISTS (SELECT 1 FROM {each} WHERE CAST(each.value AS text) = CAST(to_json(CAST({tag} AS text)) AS text))"  # noqa: S608


@compiles(has_tag, "mysql")
def _has_tag_mysql(element: has_tag, compiler: Any, **options: Any) -> str:
    tags, tag = _two(element, compiler, options)
    return f"JSON_CONTAINS({tags}, JSON_QUOTE({tag}))"


def _two(element: has_tag, compiler: Any, options: dict[str, Any]) -> list[str]:
    return [compiler.process(clause, **options) for clause in element.clauses]
