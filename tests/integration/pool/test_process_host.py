"""`process.host` hands its fields to the pool."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec import ValidationError, convert
from pools import Calls, eventually

from taskmill.process.host import HostConfig, ProcessHost
from taskmill.process.messages import Completed
from taskmill.registry import Entry
from taskmill.supervisor import Context
from taskmill.units import Duration, dec_hook


def config(**fields: Any) -> HostConfig:
    return convert({"name": "h", "kind": "process.host", **fields}, HostConfig, dec_hook=dec_hook)


@pytest.mark.parametrize("limit", [{"max_tasks": 2}, {"max_memory": "1MiB", "lease": "100ms"}])
def test_workers_are_replaced_as_configured(calls: Calls, tmp_path: Path, limit: dict[str, Any]) -> None:
    async def main() -> None:
        context = Context({}, lambda *_: None, data_dir=tmp_path, app_dir=tmp_path)
        entry = Entry("app:h", "process.host", config(workers=1, **limit), tmp_path, 1, tmp_path)
        host = ProcessHost(entry, context)
        await host.start()
        try:
            for _ in range(2):
                (outcome,) = await calls.run(host.pool, calls.make("pid"))
                assert isinstance(outcome, Completed)
            await eventually(lambda: host.pool.replaced["recycled"] >= 1)
        finally:
            await host.stop()

    asyncio.run(main())


def test_without_fields_nothing_is_limited() -> None:
    plain = config()
    assert (plain.max_tasks, plain.max_memory, plain.lease) == (None, None, Duration(30))


@pytest.mark.parametrize("field", [{"max_tasks": 0}, {"max_memory": "much"}, {"lease": "-1s"}])
def test_what_is_no_limit_is_refused(field: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        config(**field)
