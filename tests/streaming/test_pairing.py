"""Two cameras into pairs: nearest frames, offsets, rates, ends, stalls, bounded memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crossfuse.errors import InvalidInput
from crossfuse.streaming import DropReason, Pair, Paired, Pairer, Source, Unpaired

IR, VIS = Source.INFRARED, Source.VISIBLE
UNPAIRED = DropReason.UNPAIRED


def summary(decided: list[Paired[str]]) -> list[object]:
    """(infrared, visible) for a pair, (source, position, reason) for a frame alone."""
    return [
        (one.infrared.position, one.visible.position)
        if isinstance(one, Pair)
        else (one.frame.source, one.frame.position, one.reason)
        for one in decided
    ]


def feed(pairer: Pairer[str], *frames: tuple[Source, int], now: float = 0.0) -> list[object]:
    return [
        one for source, position in frames for one in summary(pairer.add(source, position, "", now))
    ]


def end(pairer: Pairer[str]) -> list[object]:
    return summary(pairer.end(IR, 0.0)) + summary(pairer.end(VIS, 0.0))


def test_by_frame_id_a_pair_comes_out_at_once() -> None:
    pairer: Pairer[str] = Pairer()
    assert feed(pairer, (IR, 1), (IR, 2), (VIS, 1)) == [(1, 1)]
    assert feed(pairer, (VIS, 2)) == [(2, 2)]


def test_by_frame_id_a_gap_is_known_when_the_other_source_has_passed_it() -> None:
    pairer: Pairer[str] = Pairer()
    assert feed(pairer, (IR, 1), (VIS, 2)) == [(IR, 1, UNPAIRED)]
    assert feed(pairer, (IR, 3)) == [(VIS, 2, UNPAIRED)]
    assert feed(pairer, (VIS, 3)) == [(3, 3)]


def test_the_payloads_of_a_pair_are_those_that_were_added() -> None:
    pairer: Pairer[str] = Pairer(tolerance=5)
    pairer.add(IR, 10, "warm", 1.0)
    pairer.end(IR, 1.5)
    (pair,) = pairer.add(VIS, 12, "bright", 2.0)
    assert isinstance(pair, Pair)
    assert (pair.infrared.payload, pair.visible.payload, pair.error) == ("warm", "bright", -2)
    assert (pair.infrared.arrived_at, pair.visible.arrived_at) == (1.0, 2.0)


def test_a_nearer_frame_that_follows_wins() -> None:
    pairer: Pairer[str] = Pairer(tolerance=20)
    assert feed(pairer, (VIS, 100), (IR, 88)) == []
    assert feed(pairer, (IR, 103)) == [(IR, 88, UNPAIRED)]
    assert feed(pairer, (VIS, 133)) == [(103, 100)]


def test_the_earlier_of_two_equally_near_frames_wins() -> None:
    pairer: Pairer[str] = Pairer(tolerance=20)
    assert feed(pairer, (IR, 90), (VIS, 100), (IR, 110)) == [(90, 100)]


def test_three_infrared_frames_to_one_visible() -> None:
    pairer: Pairer[str] = Pairer(tolerance=16_000)
    infrared = [(IR, number * 11_111) for number in range(10)]
    visible = [(VIS, number * 33_333) for number in range(4)]
    decided = feed(pairer, *sorted(infrared + visible, key=lambda frame: frame[1])) + end(pairer)
    pairs = [one for one in decided if isinstance(one, tuple) and len(one) == 2]
    assert pairs == [(0, 0), (33_333, 33_333), (66_666, 66_666), (99_999, 99_999)]
    assert len(decided) == 10


def test_nine_infrared_frames_a_second_to_thirty_visible() -> None:
    pairer: Pairer[str] = Pairer(tolerance=16_667)
    infrared = [(IR, round(number * 1e6 / 9)) for number in range(9)]
    visible = [(VIS, round(number * 1e6 / 30)) for number in range(30)]
    decided = feed(pairer, *sorted(infrared + visible, key=lambda frame: frame[1])) + end(pairer)
    pairs = [one for one in decided if isinstance(one, tuple) and len(one) == 2]
    assert len(pairs) == 9
    assert len(decided) == 9 + 21


def test_the_offset_shifts_the_infrared_clock() -> None:
    pairer: Pairer[str] = Pairer(tolerance=1000, offset=-250_000)
    assert feed(pairer, (IR, 1_250_000), (VIS, 1_000_000)) == [(1_250_000, 1_000_000)]


def test_what_is_left_when_a_source_ends_is_reported() -> None:
    pairer: Pairer[str] = Pairer(tolerance=5)
    assert feed(pairer, (VIS, 10), (VIS, 20), (VIS, 30), (IR, 9)) == []
    assert summary(pairer.end(IR, 0.0)) == [(9, 10), (VIS, 20, UNPAIRED), (VIS, 30, UNPAIRED)]
    assert feed(pairer, (VIS, 40)) == [(VIS, 40, UNPAIRED)]
    with pytest.raises(RuntimeError, match="infrared source after its end"):
        pairer.add(IR, 50, "", 0.0)


def test_a_position_that_does_not_increase_is_reported_and_forgotten() -> None:
    pairer: Pairer[str] = Pairer()
    order = DropReason.OUT_OF_ORDER
    assert feed(pairer, (IR, 5), (IR, 5), (IR, 4)) == [(IR, 5, order), (IR, 4, order)]
    assert feed(pairer, (VIS, 5)) == [(5, 5)]


def test_a_stalled_source_costs_bounded_memory() -> None:
    pairer: Pairer[str] = Pairer(capacity=3)
    lost = feed(pairer, *((VIS, number) for number in range(10)))
    assert lost == [(VIS, number, DropReason.OVERRUN) for number in range(7)]
    assert not pairer.has_room(VIS)
    assert pairer.has_room(IR)


def test_a_frame_waits_for_a_partner_no_longer_than_it_may() -> None:
    pairer: Pairer[str] = Pairer(tolerance=5, max_wait=0.1)
    assert pairer.next_expiry is None
    feed(pairer, (VIS, 10), now=1.0)
    feed(pairer, (VIS, 20), now=1.05)
    assert pairer.next_expiry == pytest.approx(1.1)
    assert pairer.expire(1.09) == []
    assert summary(pairer.expire(1.11)) == [(VIS, 10, DropReason.DEADLINE)]
    assert pairer.next_expiry == pytest.approx(1.15)


def test_a_pair_waits_for_a_nearer_partner_no_longer_than_it_may() -> None:
    pairer: Pairer[str] = Pairer(tolerance=5, max_wait=0.1)
    assert feed(pairer, (IR, 8), now=1.0) + feed(pairer, (VIS, 10), now=1.05) == []
    assert pairer.next_expiry == pytest.approx(1.1)
    assert summary(pairer.expire(1.11)) == [(8, 10)]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Pairer(tolerance=-1), "tolerance: got -1; valid: 0 or more"),
        (lambda: Pairer(capacity=1), "capacity: got 1; valid: 2 or more"),
        (lambda: Pairer(max_wait=0.0), "max_wait: got 0.0 s; valid: a positive number"),
    ],
)
def test_impossible_settings_are_refused(build: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        build()


@example(
    frames=[(IR, 1, 0.0), (VIS, 1, 0.0), (VIS, 1, 0.03125)],
    tolerance=1,
    offset=1,
    capacity=2,
    max_wait=0.03125,
).via("the nearer frame comes just too late")
@given(
    frames=st.lists(
        st.tuples(st.sampled_from(Source), st.integers(-3, 30), st.floats(0.0, 0.05)), max_size=80
    ),
    tolerance=st.integers(0, 12),
    offset=st.integers(-20, 20),
    capacity=st.integers(2, 5),
    max_wait=st.none() | st.floats(0.01, 1.0),
)
def test_every_frame_comes_out_once_and_pairs_are_in_order_and_near(
    frames: list[tuple[Source, int, float]],
    tolerance: int,
    offset: int,
    capacity: int,
    max_wait: float | None,
) -> None:
    pairer: Pairer[int] = Pairer(
        tolerance=tolerance, offset=offset, capacity=capacity, max_wait=max_wait
    )
    position = {IR: 0, VIS: 0}
    now = 0.0
    decided: list[Paired[int]] = []
    inside = {IR: 0, VIS: 0}
    for number, (source, step, pause) in enumerate(frames):
        now += pause
        position[source] += step
        inside[source] += 1
        fresh = pairer.expire(now) + pairer.add(source, position[source], number, now)
        decided += fresh
        for one in fresh:
            gone = [one.frame] if isinstance(one, Unpaired) else [one.infrared, one.visible]
            for frame in gone:
                inside[frame.source] -= 1
        assert max(inside.values()) <= capacity
        assert pairer.next_expiry is None or pairer.next_expiry > now
    decided += pairer.end(VIS, now) + pairer.end(IR, now)

    pairs = [one for one in decided if isinstance(one, Pair)]
    alone = [one.frame.payload for one in decided if isinstance(one, Unpaired)]
    both = [frame.payload for pair in pairs for frame in (pair.infrared, pair.visible)]
    assert sorted(alone + both) == list(range(len(frames)))
    for pair in pairs:
        assert pair.error == pair.infrared.position + offset - pair.visible.position
        assert abs(pair.error) <= tolerance
    if {one.reason for one in decided if isinstance(one, Unpaired)} <= {UNPAIRED}:
        rest = [one.frame for one in decided if isinstance(one, Unpaired)]
        for pair in pairs:
            oldest = min(pair.infrared.arrived_at, pair.visible.arrived_at)
            for frame in rest:
                partner = pair.visible if frame.source is IR else pair.infrared
                shift = offset if frame.source is IR else -offset
                nearer = abs(frame.position + shift - partner.position) < abs(pair.error)
                # Only a frame that came after the longest wait may fit better than the partner.
                assert not nearer or (max_wait and frame.arrived_at >= oldest + max_wait)
    for before, after in itertools.pairwise(pairs):
        assert before.infrared.position < after.infrared.position
        assert before.visible.position < after.visible.position


@given(
    gaps=st.lists(st.integers(20, 60), min_size=2, max_size=40),
    jitter=st.lists(st.integers(-9, 9), min_size=40, max_size=40),
    lead=st.integers(0, 5),
)
def test_cameras_of_one_rate_lose_no_frame(gaps: list[int], jitter: list[int], lead: int) -> None:
    """Jitter below half the smallest gap: the nearest frame is the right one, whoever is ahead."""
    pairer: Pairer[str] = Pairer(tolerance=9, capacity=8)
    visible = [100 + sum(gaps[:number]) for number in range(len(gaps))]
    infrared = [moment + shift for moment, shift in zip(visible, jitter, strict=False)]
    found = feed(pairer, *((IR, moment) for moment in infrared[:lead]))
    for number, moment in enumerate(visible):
        found += feed(pairer, (VIS, moment))
        if number + lead < len(infrared):
            found += feed(pairer, (IR, infrared[number + lead]))
    assert found + end(pairer) == list(zip(infrared, visible, strict=True))
