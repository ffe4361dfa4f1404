"""A server's figures: answers by route, however many routes have one handler, and what was turned away."""

from taskmill.http.exchange import Exchange
from taskmill.http.figures import LAID_UP, Figures, Given, Kind


def handler(_: Exchange) -> None:
    pass


def test_a_handler_of_two_routes_is_counted_for_each() -> None:
    figures = Figures()
    first, second = figures.own(handler, "GET", "/a"), figures.own(handler, "POST", "/b/{id}")
    for number in range(LAID_UP + 1):
        figures.answered(first, 200, number / 1000)
        figures.answered(Given(second, {"id": str(number)}, b""), 201, 0.5)
    seconds = figures.seconds()
    assert seconds.keys() == {Kind("GET", "/a", "2xx"), Kind("POST", "/b/{id}", "2xx")}
    assert {histogram.count for histogram in seconds.values()} == {LAID_UP + 1}
    assert dict(seconds["GET", "/a", "2xx"].buckets())["0.1"] == 101  # type: ignore[index]


def test_what_is_too_much_is_turned_away_and_what_is_wrong_is_not() -> None:
    figures = Figures()
    own = figures.own(handler, "POST", "/tasks")
    for status in (202, 400, 429, 503, 503):
        figures.answered(own, status, 0.001)
    assert {kind.status: histogram.count for kind, histogram in figures.seconds().items()} == {
        "2xx": 1, "4xx": 2, "5xx": 2,
    }  # fmt: skip
    assert figures.turned_away == {429: 1, 503: 2}
