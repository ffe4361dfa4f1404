"""The rows of ``queue.driver.postgres``: one narrow table, and every statement on it.

A row's place in its queue is ``seq``. Whether it can be taken says ``visible_at`` alone: one that is held is invisible
until its lease is over, one that rests after a nack until its rest is. Only the primary key is indexed, and a claim
changes no column of it, so the new version of the row stays on its page and no index is written (a HOT update);
an index on what can be taken would be written twice for each message. What is held is passed over on the way to what
waits, but that is never more than the receivers of all nodes want to hold.
"""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    DateTime,
    Float,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Table,
    Text,
    any_,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

# Made afresh by each node that starts, if it is missing. Half of a page's worth is left free for updates; vacuum
# comes early and without pauses, since every row is dead soon.
SCHEMA = """
CREATE TABLE IF NOT EXISTS taskmill_message (
    queue text NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    id text NOT NULL,
    body text NOT NULL,
    headers text NOT NULL,
    holder bytea,
    deliveries integer NOT NULL DEFAULT 0,
    visible_at timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (queue, seq)
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.1
)
"""

_message = Table(
    "taskmill_message",
    MetaData(),
    Column("queue", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("id", Text),
    Column("body", Text),
    Column("headers", Text),
    Column("holder", LargeBinary),
    Column("deliveries", Integer),
    Column("visible_at", DateTime(timezone=True)),
)
_columns = _message.c

_queue = cast(bindparam("queue_"), Text)
_holder = cast(bindparam("holder_"), LargeBinary)
_seqs = cast(bindparam("seqs_"), ARRAY(BigInteger))
_second = literal_column("interval '1 second'", Interval)
# Not the transaction's start: a message that was put in since then would be passed over.
_now = func.clock_timestamp()
_lease_end = _now + cast(bindparam("lease_"), Float) * _second
_waits = or_(_columns.holder.is_(None), _columns.visible_at <= _now)

# Parameters: queue_; ids_, bodies_, headers_ (lists of the same length).
PUBLISH = insert(_message).from_select(
    ["queue", "id", "body", "headers"],
    select(
        _queue,
        func.unnest(cast(bindparam("ids_"), ARRAY(Text))),
        func.unnest(cast(bindparam("bodies_"), ARRAY(Text))),
        func.unnest(cast(bindparam("headers_"), ARRAY(Text))),
    ),
)

_due = (
    select(_columns.seq)
    .where(
        _columns.queue == _queue,
        _columns.seq > cast(bindparam("after_"), BigInteger),
        _columns.visible_at <= _now,
    )
    .order_by(_columns.seq)
    .limit(cast(bindparam("limit_"), Integer))
    .with_for_update(skip_locked=True)
)

# What comes first after `after_` in the queue and nobody holds, for `lease_` seconds. The array is made first,
# so that no plan can join the other way round. Parameters: queue_, after_, limit_, holder_, lease_.
CLAIM = (
    update(_message)
    .where(_columns.queue == _queue, _columns.seq == any_(func.array(_due.correlate(None).scalar_subquery())))
    .values(holder=_holder, deliveries=_columns.deliveries + 1, visible_at=_lease_end)
    .returning(_columns.seq, _columns.id, _columns.body, _columns.headers, _columns.deliveries)
)

# Also where the lease was lost meanwhile: what is done is done. Parameters: queue_, seqs_.
ACK = delete(_message).where(_columns.queue == _queue, _columns.seq == any_(_seqs))

# Parameters: queue_, holder_; seqs_, rests_ (seconds), deliveries_ (lists of the same length).
_nacked = select(
    func.unnest(_seqs).label("seq"),
    func.unnest(cast(bindparam("rests_"), ARRAY(Float))).label("rest"),
    func.unnest(cast(bindparam("deliveries_"), ARRAY(Integer))).label("deliveries"),
).subquery("nacked")
NACK = (
    update(_message)
    .where(_columns.queue == _queue, _columns.seq == _nacked.c.seq, _columns.holder == _holder)
    .values(holder=None, deliveries=_nacked.c.deliveries, visible_at=_now + _nacked.c.rest * _second)
)

# Parameters: queue_, holder_, seqs_, lease_.
RENEW = (
    update(_message)
    .where(_columns.queue == _queue, _columns.seq == any_(_seqs), _columns.holder == _holder)
    .values(visible_at=_lease_end)
)

# Parameter: queue_.
DEPTH = select(func.count()).select_from(_message).where(_columns.queue == _queue, _waits)

# Parameter: queue_.
PURGE = delete(_message).where(_columns.queue == _queue, _waits)
