"""Servers of the tests: each is started when the first test wants it, once a session."""

from collections.abc import Iterator

import pytest

from servers.mariadb import MariadbServer, mariadb_server
from servers.postgres import PostgresServer, postgres_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server that tests share: they take a database of their own, and leave it running."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """The url of an empty database."""
    url = postgres.create()
    yield url
    postgres.drop(url)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariadbServer]:
    """A MariaDB server that tests share, as that one."""
    with mariadb_server() as server:
        yield server


@pytest.fixture
def mariadb_url(mariadb: MariadbServer) -> Iterator[str]:
    """The url of an empty database."""
    url = mariadb.create()
    yield url
    mariadb.drop(url)
