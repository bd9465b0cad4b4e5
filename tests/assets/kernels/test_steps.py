"""Which steps of a channel are broken."""

import numpy as np
import pytest

from fluxforge_assets.kernels.steps import Breaks, is_broken


def breaks(gaps=(), markers=(), max_gap_us=100):
    table = np.array(gaps, np.int64).reshape(-1, 2)
    return Breaks(max_gap_us, table[:, 0].copy(), table[:, 1].copy(), np.array(markers, np.int64))


@pytest.mark.parametrize(
    ("earlier", "later", "given", "expected"),
    [
        pytest.param(0, 100, {}, False, id="exactly max_gap"),
        pytest.param(0, 101, {}, True, id="longer than max_gap"),
        pytest.param(5, 5, {}, False, id="no time at all"),
        pytest.param(10, 20, {"gaps": [(12, 15)]}, True, id="across a gap"),
        pytest.param(10, 12, {"gaps": [(12, 15)]}, False, id="ends where the gap starts"),
        pytest.param(15, 20, {"gaps": [(12, 15)]}, False, id="starts where the gap ends"),
        pytest.param(12, 15, {"gaps": [(12, 15)]}, True, id="the gap's own ends"),
        pytest.param(13, 14, {"gaps": [(12, 15)]}, True, id="within a gap"),
        pytest.param(16, 20, {"gaps": [(12, 15), (19, 30)]}, True, id="into the next gap"),
        pytest.param(16, 19, {"gaps": [(12, 15), (19, 30)]}, False, id="between gaps"),
        pytest.param(9, 10, {"markers": [10]}, True, id="arrives at a marker"),
        pytest.param(10, 11, {"markers": [10]}, False, id="leaves a marker"),
        pytest.param(10, 10, {"markers": [10]}, False, id="both at a marker"),
        pytest.param(4, 50, {"markers": [3, 60]}, False, id="markers elsewhere"),
    ],
)
def test_a_step_is_broken_by_time_gaps_and_markers(earlier, later, given, expected):
    assert bool(is_broken(earlier, later, breaks(**given))) is expected
