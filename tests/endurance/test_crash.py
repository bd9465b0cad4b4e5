"""The whole collector killed a few times; `make crash` kills it a hundred."""

import random

import pytest
from endurance.crash import crash


@pytest.mark.timeout(600)
def test_what_was_flushed_is_there_once_whenever_it_dies(tmp_path):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    report = crash(tmp_path, 4, random.Random(seed))
    print(report)
    assert report["noted"] > 0
    assert (report["lost"], report["doubled"], report["left_over"]) == (0, 0, 0)
