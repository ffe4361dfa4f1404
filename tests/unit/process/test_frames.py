"""The framing between the pool and its workers."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec import msgpack

from taskmill.process.messages import Frames, frame


@given(st.lists(st.binary(max_size=50), max_size=8), st.data())
def test_frames_survive_any_cut_of_the_stream(bodies: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(map(frame, bodies))
    frames = Frames()
    found: list[bytes] = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += [msgpack.decode(message) for message in frames.feed(stream[:size])]
        stream = stream[size:]
    assert found == bodies
