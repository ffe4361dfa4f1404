"""One statement for many rows: what it is made of, and how its arrays are written."""

import pytest
from psycopg.adapt import PyFormat, Transformer
from sqlalchemy import bindparam, insert, select, update

from taskmill.sql.postgres_batch import batch_of, byteas, int8s, texts
from taskmill.tasks.control import dead_letter
from taskmill.tasks.rows import statements, steps
from taskmill.tasks.rows.schema import attempt, task


def test_an_insert_takes_its_rows_from_arrays() -> None:
    batch = batch_of(statements.ADD)
    assert batch.sql.replace("\n", "") == (
        "INSERT INTO task (id, action, queue, data, status, attempt, max_attempts, created_at, version) "
        "SELECT rows_.id_, rows_.action_, rows_.queue_, rows_.data_, 0, 0, rows_.max_attempts_, rows_.created_at_, "
        "rows_.version_ FROM unnest(%s, %s, %s, %s, %s, %s, %s) "
        "AS rows_(id_, action_, queue_, data_, max_attempts_, created_at_, version_)"
    )


@pytest.mark.parametrize("statement", [*steps.OWN, *steps.SHARED, steps.FORGET, statements.ADD_FULL])
def test_every_lane_can_be_written_in_batches(statement: object) -> None:
    batch = batch_of(statement)  # type: ignore[arg-type]
    assert batch.sql.count("%s") == len(batch.arguments)
    assert all(isinstance(argument, tuple) for argument in batch.arguments)


def test_a_parameter_that_a_statement_has_twice_is_one_column() -> None:
    """A row has it twice, as the text of the statement for one row does."""
    batch = batch_of(steps.COMPLETE)
    assert batch.sql.count("%s") == 5
    row = (1, 2, 3, "{}", b"id", 1)
    ((_, arguments),) = list(batch.statements([row]))
    assert arguments == [int8s([1]), int8s([2]), int8s([3]), texts(["{}"]), byteas([b"id"])]


def test_what_the_statement_adds_itself_stays_one_value() -> None:
    batch = batch_of(dead_letter._note(["a", "b"]))
    ((_, arguments),) = list(batch.statements([(b"id", 5, "a", "b")]))
    assert arguments == [byteas([b"id"]), int8s([5]), "a", "b"]


def test_rows_that_change_one_task_twice_are_statements_one_after_another() -> None:
    """One UPDATE changes a row once, whatever it is joined with."""
    batch = batch_of(steps.RELEASE)
    rows = [(b"a", 1), (b"b", 1), (b"a", 2), (b"a", 3)]
    parts = [arguments for _, arguments in batch.statements(rows)]
    assert parts == [
        [byteas([b"a", b"b"]), int8s([1, 1])],
        [byteas([b"a"]), int8s([2])],
        [byteas([b"a"]), int8s([3])],
    ]


def test_a_parameter_without_a_type_is_refused() -> None:
    untyped = insert(attempt).from_select(["task_id"], select(bindparam("x")))
    with pytest.raises(
        TypeError, match=r"the parameter x has no type: give it one, as in bindparam\(name, type_=Text\)"
    ):
        batch_of(untyped)


def test_the_arrays_are_those_that_the_driver_writes() -> None:
    transformer = Transformer()
    for values, written in (
        ([b"a", b"", None], byteas),
        (["ü🦜", "", None], texts),
        ([2**40, -(2**40), None], int8s),
    ):
        made = written(values)
        (given,) = transformer.dump_sequence([values], [PyFormat.BINARY])
        assert bytes(made) == bytes(given or b"")
    assert bytes(int8s([2**40, 1 << 41])) == bytes(
        transformer.dump_sequence([[2**40, 1 << 41]], [PyFormat.BINARY])[0] or b""
    )


def test_a_nul_becomes_what_can_be_stored() -> None:
    assert texts(["a\0b"]) == texts(["a\ufffdb"])


def test_more_than_rows_are_no_batch() -> None:
    with pytest.raises(AttributeError):
        batch_of("SELECT 1")  # type: ignore[arg-type]
    assert (
        batch_of(update(task).values(rank=bindparam("rank_")).where(task.c.id == bindparam("id_"))).key == 1
    )
