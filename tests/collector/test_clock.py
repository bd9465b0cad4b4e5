"""Capture time never runs backwards, whatever the wall clock does."""

from fluxforge_collector.clock import SystemClock


def test_capture_time_never_decreases_across_anchors():
    clock = SystemClock()
    seen = []
    for _ in range(1000):
        clock.anchor()
        seen.append(clock.capture_us())
    assert seen == sorted(seen)


def test_capture_time_is_wall_time_while_nothing_steps():
    clock = SystemClock()
    assert abs(clock.capture_us() - clock.wall_us()) < 1_000_000
    assert abs(clock.step_us()) < 1_000_000
