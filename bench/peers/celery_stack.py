"""The usual Python stack for the same job: FastAPI takes the task, Redis carries it, Celery runs it.

Redis keeps an append-only file. With `appendfsync always` it promises what Taskmill promises, a 202 for what
is on disk; `everysec` may lose a second of acknowledged tasks.
"""

import os
import shutil
import sys

import redis
from celery import Celery
from fastapi import FastAPI
from pydantic import BaseModel

from bench.servers import Target, free_port

BASE = f"redis://127.0.0.1:{os.environ.get('BENCH_REDIS_PORT', '6379')}"
RESULTS = 1  # the number of the Redis database that holds results and nothing else

worker = Celery("bench", broker=f"{BASE}/0", backend=f"{BASE}/{RESULTS}")
worker.conf.update(
    task_acks_late=True,  # a task whose worker died is run again, as Taskmill does
    task_reject_on_worker_lost=True,
    worker_send_task_events=False,
    task_send_sent_event=False,
)
api = FastAPI()


class Submit(BaseModel):
    """The body of POST /tasks."""

    action: str
    data: dict[str, object]


@worker.task
def process(action: str, data: dict[str, str]) -> dict[str, str]:
    """Do the job."""
    return {"output": data["text"].upper() if action == "uppercase" else "processed"}


@api.post("/tasks", status_code=202)
async def create(body: Submit) -> dict[str, str]:
    """Publish and answer. Blocking here completes more than in FastAPI's thread pool (measured)."""
    return {"id": process.delay(body.action, body.data).id, "status": "queued"}


class CeleryStack(Target):
    """One uvicorn process, one Redis, a Celery worker with two processes."""

    def __init__(self, fsync: str) -> None:
        super().__init__()
        self.name = f"FastAPI + Celery + Redis, appendfsync {fsync}"
        self._fsync = fsync
        self._done = 0

    def start(self) -> None:
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            raise FileNotFoundError(
                "redis is missing; on Debian or Ubuntu: sudo apt-get install redis-server"
            )
        port = free_port()
        server = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(self.directory)]
        server += ["--save", "", "--appendonly", "yes", "--appendfsync", self._fsync]
        self.spawn(server, port)
        self._broker = redis.Redis(port=port, db=0)
        self._results = redis.Redis(port=port, db=RESULTS)
        env = {"BENCH_REDIS_PORT": str(port)}
        work = [sys.executable, "-m", "celery", "-A", "bench.peers.celery_stack:worker", "worker", "-c", "2"]
        work += ["-l", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"]
        self.spawn(work, env=env, orphaned="TERM")
        serve = [sys.executable, "-m", "uvicorn", "bench.peers.celery_stack:api", "--port", str(self.port)]
        serve += ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
        self.spawn(serve, self.port, env)

    def settled(self) -> bool:
        waiting = self._broker.llen("celery") + self._broker.hlen("unacked")
        self._done = self._results.dbsize()
        return waiting == 0

    def completed(self) -> int:
        return self._done
