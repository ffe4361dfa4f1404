"""`process.service`: when it has started, when it starts its process again, and when it gives up."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from taskmill.process.host import HostConfig, ProcessHost
from taskmill.process.python_process import ProcessConfig, ProcessError, PythonProcess
from taskmill.process.service import ProcessService, ServiceConfig
from taskmill.registry import Entry, Lifecycle, Restart
from taskmill.supervisor import Context
from taskmill.units import Duration


class Script:
    """A process whose runs are scripted: each a value to return, an error to raise or an event to await."""

    def __init__(self, *steps: object) -> None:
        self.steps = list(steps)
        self.runs = 0
        self.cancelled = False

    async def __call__(self) -> object:
        step = self.steps[min(self.runs, len(self.steps) - 1)]
        self.runs += 1
        if isinstance(step, asyncio.Event):
            try:
                await step.wait()
            except asyncio.CancelledError:
                self.cancelled = True
                raise
            return 1
        if isinstance(step, Exception):
            raise step
        return step


class Setup:
    """A service with its host and a scripted process, and what it reported."""

    def __init__(self, directory: Path, script: Script, stable: float, attempts: int, pause: float) -> None:
        self.failures: list[tuple[str, BaseException]] = []
        components: dict[str, Any] = {}
        context = Context(
            components, lambda *failure: self.failures.append(failure), data_dir=directory, app_dir=directory
        )

        def entry(config: Any) -> Entry[Any]:
            return Entry(f"app:{config.name}", config.kind, config, directory, 1, directory)

        async def call() -> object:
            return await script()

        process = PythonProcess(
            entry(ProcessConfig(name="p", kind="process.python", source="", method="")), context
        )
        process.call = call
        self.host = ProcessHost(entry(HostConfig(name="h", kind="process.host", workers=0)), context)
        components |= {"app:p": process, "app:h": self.host}
        lifecycle = Lifecycle(
            stable_threshold=Duration(stable),
            restart=Restart(initial_delay=Duration(pause), jitter=0, backoff_factor=2, max_attempts=attempts),
        )
        config = ServiceConfig(
            name="s", kind="process.service", process="app:p", host="app:h", lifecycle=lifecycle
        )
        self.service = ProcessService(entry(config), context)


Run = Callable[..., None]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def in_loop(
        body: Callable[[Setup], Awaitable[None]],
        make_script: Callable[[], Script],
        stable: float = 60,
        attempts: int = 2,
        pause: float = 0.001,
    ) -> None:
        async def main() -> None:
            setup = Setup(tmp_path, make_script(), stable, attempts, pause)
            await setup.host.start()
            async with asyncio.timeout(10):
                await body(setup)
                await setup.service.stop()
                await setup.service.stop()
                await setup.host.stop()
            assert setup.host.running == set()

        asyncio.run(main())

    return in_loop


async def eventually(condition: Callable[[], Any]) -> None:
    while not condition():  # noqa: ASYNC110 - a turn of the loop each
        await asyncio.sleep(0)


def test_a_process_that_returns_zero_has_started_and_is_not_run_again(run: Run) -> None:
    script = Script(0)

    async def body(setup: Setup) -> None:
        await setup.service.start()
        assert script.runs == 1
        assert setup.failures == []

    run(body, lambda: script)


def test_failures_are_tried_again_with_growing_pauses(run: Run) -> None:
    script = Script(ValueError("first"), 7, 0)

    async def body(setup: Setup) -> None:
        begun = asyncio.get_running_loop().time()
        await setup.service.start()
        assert asyncio.get_running_loop().time() - begun >= 0.06
        assert script.runs == 3
        assert setup.failures == []

    run(body, lambda: script, pause=0.02)


def test_giving_up_before_it_is_stable_fails_the_start(run: Run) -> None:
    script = Script(ValueError("first"), ValueError("second"), 9)

    async def body(setup: Setup) -> None:
        with pytest.raises(ProcessError, match="returned 9"):
            await setup.service.start()
        assert script.runs == 3
        assert setup.failures == []

    run(body, lambda: script)


def test_a_process_that_runs_on_has_started_and_ends_with_the_service(run: Run) -> None:
    script: list[Script] = []

    async def body(setup: Setup) -> None:
        await setup.service.start()
        assert setup.host.running == {"app:p"}
        await setup.service.stop()
        assert script[0].cancelled

    def make() -> Script:
        script.append(Script(asyncio.Event()))
        return script[0]

    run(body, make, stable=0.01)


def test_after_a_stable_run_failures_count_anew(run: Run) -> None:
    script: list[Script] = []
    events: list[asyncio.Event] = []

    async def body(setup: Setup) -> None:
        await setup.service.start()  # after the first failure, which leaves one more attempt
        events[0].set()
        await eventually(lambda: script[0].runs == 5)
        assert setup.failures == []

    def make() -> Script:
        events.extend((asyncio.Event(), asyncio.Event()))
        script.append(Script(OSError(), events[0], OSError(), OSError(), events[1]))
        return script[0]

    run(body, make, stable=0.01, attempts=3)


def test_giving_up_later_fails_the_application(run: Run) -> None:
    events: list[asyncio.Event] = []

    async def body(setup: Setup) -> None:
        await setup.service.start()
        events[0].set()
        await eventually(lambda: setup.failures)
        ((entry, error),) = setup.failures
        assert entry == "app:s"
        assert str(error) == "too bad"

    def make() -> Script:
        events.append(asyncio.Event())
        return Script(events[0], ValueError("too bad"))

    run(body, make, stable=0.01)


def test_a_start_that_is_cancelled_leaves_nothing_after_stop(run: Run) -> None:
    script: list[Script] = []

    async def body(setup: Setup) -> None:
        start = asyncio.create_task(setup.service.start())
        await eventually(lambda: setup.host.running)
        start.cancel()
        await asyncio.wait([start])
        await setup.service.stop()
        assert script[0].cancelled
        assert setup.failures == []

    def make() -> Script:
        script.append(Script(asyncio.Event()))
        return script[0]

    run(body, make)


def test_parts_that_never_started_can_be_stopped(run: Run) -> None:
    async def body(setup: Setup) -> None:
        await setup.service.stop()

    run(body, lambda: Script(0))
