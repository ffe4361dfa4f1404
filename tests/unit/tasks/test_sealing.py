"""Keys, what is encrypted with them, and what is wrong with them."""

import asyncio
from base64 import b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from parts import entry
from sqlalchemy import Insert, Update
from sqlalchemy.sql.compiler import SQLCompiler

from taskmill.application import BUILTIN, read
from taskmill.registry import RegistryError
from taskmill.sql import Database, DatabaseError, SqliteDatabase
from taskmill.sql.sqlite import SqliteConfig
from taskmill.tasks.actions.action import Action, action
from taskmill.tasks.api import make_tables
from taskmill.tasks.control import dead_letter
from taskmill.tasks.external import statements as external
from taskmill.tasks.notes import statements as notes
from taskmill.tasks.rows import statements, steps
from taskmill.tasks.schedules import statements as schedules
from taskmill.tasks.sealing.column import SealedText
from taskmill.tasks.sealing.database import PASSED, sealed
from taskmill.tasks.sealing.guard import check, refuse_index
from taskmill.tasks.sealing.keys import SIZE, KeyMissing, Keyring, WrongKeys, derived, key_of, new_key
from taskmill.tasks.stepping import statements as stepping

OLD, NEW = (f"{id_}:{b64encode(bytes([byte]) * SIZE).decode()}" for byte, id_ in enumerate(("old", "new"), 1))
TEXTS = ("{}", '{"text":"a"}', "[]", '"\u00e4\U0001f600"', '{"long":"' + "x" * 100_000 + '"}')


@pytest.mark.parametrize(
    ("byte", "aad", "sealed_"),
    [
        (1, None, "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
        (3, b"c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"),
    ],
)
def test_the_scheme_is_the_published_one(byte: int, aad: bytes | None, sealed_: str) -> None:
    nonce = b"ABCDEFGHIJKLMNOPQRSTUVWX"
    cipher = AESGCM(derived(bytes([byte]) * SIZE, nonce[:12]))
    assert cipher.encrypt(nonce[12:], b"XAES-256-GCM", aad).hex() == sealed_


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_encrypted_is_decrypted_by_every_ring_that_has_the_key(text: str) -> None:
    stored = Keyring.of(OLD).seal(text)
    assert text not in stored
    assert key_of(stored) == "old"
    assert Keyring.of(f"{NEW}, {OLD}").open(stored) == text
    assert Keyring.of(OLD).seal(text) != stored
    with pytest.raises(KeyMissing, match="the key `old` is missing"):
        Keyring.of(NEW).open(stored)
    with pytest.raises(KeyMissing, match="not the one"):
        Keyring.of(new_key("old")).open(stored)


def test_what_is_not_encrypted_is_read_as_it_is() -> None:
    assert [Keyring.of(OLD).open(text) for text in TEXTS] == list(TEXTS)


def test_what_was_changed_since_is_not_decrypted() -> None:
    ring = Keyring.of(OLD)
    stored = ring.seal(TEXTS[1])
    for place in range(len("tm1:old:"), len(stored) - 3):  # the last one has bits to spare
        other = "A" if stored[place] != "A" else "B"
        with pytest.raises(KeyMissing):
            ring.open(stored[:place] + other + stored[place + 1 :])
    with pytest.raises(KeyMissing, match="damaged"):
        ring.open(stored[:20] + "?")


def test_another_first_half_of_the_nonce_is_begun_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskmill.tasks.sealing.keys._TEXTS", 2)
    ring = Keyring.of(OLD)
    stored = [ring.seal("{}") for _ in range(10)]
    assert len({text[:24] for text in stored}) == 4
    assert {ring.open(text) for text in stored} == {"{}"}


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        (" ,", "key 1 is none"),
        ("0", "the key `0` must be 32 bytes"),
        (OLD[:-4], "the key `old` must be 32 bytes"),
        (f"{OLD},{OLD}", "two keys have the id `old`"),
        (f"{OLD} a:b:c", "the key `a` must be"),
        (f"{OLD},:x", "key 2 is none"),
    ],
)
def test_what_are_no_keys_is_a_mistake_that_shows_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: str, why: str
) -> None:
    with pytest.raises(WrongKeys, match=why):
        Keyring.of(keys)
    with pytest.raises(RegistryError) as caught:
        _declared(tmp_path, monkeypatch, keys)
    assert "`encrypt.keys`" in str(caught.value)
    assert OLD[4:20] not in str(caught.value)


def test_keys_that_the_environment_has_empty_are_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RegistryError, match=r"`encrypt\.keys`"):
        _declared(tmp_path, monkeypatch, "")


def test_no_key_is_in_what_a_configuration_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert OLD[4:20] not in _declared(tmp_path, monkeypatch, OLD)


def _declared(directory: Path, monkeypatch: pytest.MonkeyPatch, keys: str) -> str:
    monkeypatch.setenv("TASKMILL_KEYS", keys)
    index = (BUILTIN / "_index.yaml").read_text()
    kind = "    kind: task.service\n"
    assert kind in index
    (directory / "_index.yaml").write_text(
        index.replace(kind, kind + "    encrypt:\n      keys: ${env:TASKMILL_KEYS}\n")
    )
    (directory / "actions.py").write_text((BUILTIN / "actions.py").read_text())
    return repr(read(directory).entries["app:tasks"].config)


def test_a_start_looks_at_the_keys_that_were_used(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        database: Database = entry(SqliteDatabase, SqliteConfig(name="db", kind="", file=":memory:"))
        await database.start()
        await make_tables(database)
        await check(database, None)
        await check(database, Keyring.of(OLD))
        await check(database, Keyring.of(f"{NEW},{OLD}"))
        with pytest.raises(
            DatabaseError, match="encrypted with the keys `new`, `old`: give them to `encrypt`"
        ):
            await check(database, None)
        with pytest.raises(DatabaseError, match="the key `new` is another"):
            await check(database, Keyring.of(new_key("new")))
        assert not caplog.records
        await check(database, Keyring.of(NEW))
        assert "lacks the keys `old`" in caplog.text
        await database.stop()

    asyncio.run(main())


def test_data_that_is_encrypted_stands_in_no_index() -> None:
    @action(index=["data.text"])
    def found(text: str) -> None: ...

    def plain() -> None: ...

    refuse_index([Action(plain)])
    with pytest.raises(DatabaseError, match="action found declares `index`"):
        refuse_index([found])


CHANGES = [
    (f"{module.__name__}.{name}", value)
    for module in (statements, steps, external, notes, stepping, schedules, dead_letter)
    for name, value in sorted(vars(module).items())
    if isinstance(value, Insert | Update)
]


@pytest.mark.parametrize(("name", "statement"), CHANGES, ids=[name for name, _ in CHANGES])
def test_each_statement_encrypts_what_it_writes(name: str, statement: Insert | Update) -> None:
    columns = {column.name for column in statement.table.columns if isinstance(column.type, SealedText)}
    compiled = statement.compile(dialect=SqliteDatabase.core)
    assert isinstance(compiled, SQLCompiler)
    given = {bind.removesuffix("_") for bind in compiled.positiontup or ()} & columns
    marked = {
        bind.removesuffix("_")
        for bind in compiled.positiontup or ()
        if isinstance(compiled.binds[bind].type, SealedText)
    }
    assert marked == given
    database: Database = entry(SqliteDatabase, SqliteConfig(name="db", kind="", file=":memory:"))
    text = sealed(database, Keyring.of(OLD)).compile(statement)
    assert text == database.compile(statement)
    assert hasattr(text, "code") == bool(marked)


def test_no_door_of_a_database_is_forgotten() -> None:
    unused = {"Config", "run", "reader", "start", "stop"}  # of a task queue, on its database
    names = {name for name in [*vars(Database), *Database.__annotations__] if not name.startswith("_")}
    assert names - PASSED - unused == {
        "bind", "change", "change_all", "compile", "iterate", "read", "serialize", "write", "writer",
    }  # fmt: skip
    made = sealed(entry(SqliteDatabase, SqliteConfig(name="db", kind="", file=":memory:")), Keyring.of(OLD))
    assert all(name in vars(type(made)) for name in names - PASSED - unused - {"writer"})
    with pytest.raises(AttributeError, match="run of a database that encrypts"):
        _ = made.run
