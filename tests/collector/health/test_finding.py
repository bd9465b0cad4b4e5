import pytest

from fluxforge_collector.health.finding import Finding, Level, duration, worst


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3, "0 s"), (0, "0 s"), (0.4, "0 s"), (59.6, "1 min"), (61, "1 min 1 s"), (3600, "1 h"),
        (86_399, "23 h 59 min"), (90_061, "1 d 1 h"),
    ],
)  # fmt: skip
def test_a_duration_in_its_two_largest_units(seconds, said):
    assert duration(seconds) == said


def test_the_whole_is_as_its_worst_part():
    assert worst([]) is Level.HEALTHY
    assert worst([Finding(Level.DOWN, "a", ""), Finding(Level.DEGRADED, "b", "")]) is Level.DOWN
