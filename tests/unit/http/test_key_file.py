"""The file of keys: what is kept, what is not, and what is refused."""

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from taskmill.http.auth.key_file import KEY_LENGTH, KeyFileError, create, read, revoke, rotate


def test_a_key_is_kept_as_its_hash_alone(tmp_path: Path) -> None:
    file = tmp_path / "state" / "keys.json"
    key = create(file, "the shop", ["submit", "read"], queues=["mail"], actions=["send"])
    text = file.read_text()
    assert len(key) == KEY_LENGTH
    assert key[12:] not in text
    (kept,) = json.loads(text)["keys"]
    assert kept["hash"] == sha256(key.encode()).hexdigest()
    assert (kept["prefix"], kept["name"], kept["scopes"]) == (key[:11], "the shop", ["submit", "read"])
    assert (kept["queues"], kept["actions"]) == (["mail"], ["send"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_no_two_keys_are_alike_and_several_may_be_made_at_once(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda number: create(file, str(number), ["read"]), range(24)))
    assert len(set(made)) == 24
    assert {key.prefix for key in read(file)} == {key[:11] for key in made}


def test_a_rotated_key_holds_for_its_grace_and_the_new_one_may_the_same(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    old = create(file, "worker", ["work"], queues=["mail"])
    new = rotate(file, old, 3600)
    first, second = read(file)
    assert (first.prefix, second.prefix) == (old[:11], new[:11])
    assert (second.name, second.scopes, second.queues) == ("worker", ["work"], ["mail"])
    now = datetime.now(UTC)
    assert first.holds(now)
    assert not first.holds(now + timedelta(hours=2))
    assert second.holds(now + timedelta(days=3000))


def test_rotating_never_makes_a_key_hold_longer(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    old = create(file, "brief", ["read"], expires_in=60)
    rotate(file, old, 3600)
    first, second = read(file)
    assert first.expires_at == second.expires_at
    assert not second.holds(datetime.now(UTC) + timedelta(seconds=61))


def test_a_revoked_key_is_still_listed(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    key = create(file, "gone", ["read"])
    revoke(file, key[:11])
    (kept,) = read(file)
    assert kept.revoked_at is not None
    assert not kept.holds(datetime.now(UTC))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no file of keys"),
        ('{"keys": [{"prefix": "tm_x"}]}', "is no file of keys"),
        ('{"keys": [], "more": 1}', "is no file of keys"),
        ('{"keys": [{"prefix":"a","name":"n","hash":"00","scopes":["read"],"created_at":"2026-01-01T00:00:00Z"}]}',
         "is no file of keys"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "keys.json"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(KeyFileError, match=said):
        read(file)


def test_a_file_that_others_can_write_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    create(file, "one", ["read"])
    os.chmod(file, 0o620)
    with pytest.raises(KeyFileError, match="can be written by others"):
        read(file)


def test_what_is_missing_says_how_it_is_made(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="taskmill keys create"):
        read(tmp_path / "keys.json")
    with pytest.raises(KeyFileError, match="taskmill keys list"):
        revoke(tmp_path / "keys.json", "tm_12345678")
