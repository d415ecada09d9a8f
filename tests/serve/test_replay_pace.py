"""When messages are due: one clock, from which waits do not drift away."""

from hypothesis import given
from hypothesis import strategies as st

from ssmd.serve.replay.pace import NS_PER_S, Pace


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(
    st.lists(st.integers(0, 10 * NS_PER_S), min_size=1, max_size=50),
    st.sampled_from([0.5, 1.0, 7.0, 1000.0]),
    st.lists(st.floats(0, 3), min_size=50, max_size=50),
)
def test_a_message_is_due_by_its_time_alone(
    steps: list[int], speed: float, slow: list[float]
) -> None:
    clock = Clock()
    pace = Pace(speed, clock)
    start = data = 5 * NS_PER_S
    pace.due(data)
    for step, extra in zip(steps, slow, strict=False):
        data += step
        due = pace.due(data)
        assert abs(due - (1000 + (data - start) / NS_PER_S / speed)) < 1e-6
        clock.now = max(clock.now, due) + extra  # a slow reader
        assert abs(pace.sent(data) - (clock.now - due)) < 1e-6


def test_without_a_speed_everything_is_due() -> None:
    clock = Clock()
    pace = Pace(0, clock)
    assert pace.due(10**18) == pace.due(2 * 10**18) == clock.now
    assert pace.sent(2 * 10**18) == 0.0
    assert pace.position_ns() == 2 * 10**18


def test_a_pause_stops_the_time_of_the_replay() -> None:
    clock = Clock()
    pace = Pace(2, clock)
    pace.due(0)
    clock.now += 1
    pace.pause()
    assert pace.position_ns() == 2 * NS_PER_S
    clock.now += 100
    assert pace.position_ns() == 2 * NS_PER_S
    pace.resume()
    assert pace.due(4 * NS_PER_S) == clock.now + 1


def test_another_speed_holds_from_then_on() -> None:
    clock = Clock()
    pace = Pace(1, clock)
    pace.due(0)
    clock.now += 3
    pace.set_speed(10)
    assert pace.due(3 * NS_PER_S) == clock.now
    assert pace.due(13 * NS_PER_S) == clock.now + 1
    pace.set_speed(0)
    assert pace.due(10**18) <= clock.now
    pace.sent(20 * NS_PER_S)
    pace.set_speed(1)
    assert pace.due(21 * NS_PER_S) == clock.now + 1


def test_after_a_seek_the_next_message_is_due_at_once() -> None:
    clock = Clock()
    pace = Pace(1, clock)
    pace.due(0)
    clock.now += 5
    pace.seek()
    assert pace.position_ns() is None
    assert pace.due(10**18) == clock.now
