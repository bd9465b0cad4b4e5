import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxforge_assets.gold.rows import span, window_sums


@pytest.mark.parametrize(
    ("seconds", "suffix"), [(5, "5s"), (0.5, "500ms"), (14400, "14400s"), (0.00025, "250us"), (1.5, "1500ms")]
)
def test_suffixes(seconds, suffix):
    assert f"{span(seconds)}" == suffix


@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=70),
    cuts=st.lists(st.tuples(st.integers(0, 70), st.integers(0, 70)), min_size=1, max_size=10),
)
def test_window_sums_add_up_and_ignore_what_is_outside(values, cuts):
    windows = [(min(a, b, len(values)), min(max(a, b), len(values))) for a, b in cuts]
    first, stop = (np.array(side) for side in zip(*windows, strict=True))
    sums = window_sums(np.array(values), first, stop)
    for (a, b), total in zip(windows, sums, strict=True):
        assert total == pytest.approx(sum(values[a:b]), rel=1e-9, abs=1e-6)
        alone = window_sums(np.array(values[a:b]), np.array([0]), np.array([b - a]))
        assert total == alone[0], "bit for bit, whatever is around it"


def test_a_quiet_window_after_a_storm_is_exactly_quiet():
    values = np.array([1e9] * 1000 + [1e-9] * 4)
    assert window_sums(values, np.array([1000]), np.array([1004]))[0] == 4e-9
