"""The soak in its short form: faults over a few instruments of four exchanges, Coinbase among them natively.

`make soak` runs it for an hour over a hundred instruments.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from endurance.soak import trend


@pytest.mark.timeout(600)
def test_what_was_sent_through_faults_is_kept_or_in_a_gap_and_memory_is_bounded(tmp_path):
    exchanges = ["--native", "--exchanges", "binanceus,okx,coinbase,kraken"]
    arguments = ["--seconds", "20", "--instruments", "12", "--seed", "3", "--segment-seconds", "10", *exchanges]
    done = subprocess.run(
        [sys.executable, "-m", "endurance.soak", *arguments, "--report", tmp_path / "report.json"],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["broken"] == []
    assert report["account"]["sent"] > 100
    assert report["account"]["segments"] >= 2
    assert sum(report["frames_struck"].values()) > 0


@pytest.mark.parametrize(
    ("rises", "is_growth"),
    [
        pytest.param(lambda at: 0, False, id="flat"),
        pytest.param(lambda at: min(at, 1500) / 60, False, id="what is bounded fills in the first half"),
        pytest.param(lambda at: at / 180, True, id="20 MB an hour"),
        pytest.param(lambda at: 60 if 2800 < at < 2830 else 0, False, id="a peak"),
        pytest.param(lambda at: 15 * (at > 2700), True, id="what a peak leaves behind"),
    ],
)
def test_growth_is_what_raises_the_floor_in_the_second_half(rises, is_growth):
    seconds = range(3600)
    sawtooth = [200 + at % 60 / 4 + at * 7919 % 13 / 4 + rises(at) for at in seconds]
    found = trend(list(seconds), sawtooth)
    assert (found["growth_mb"] > 2 * found["noise_mb"]) == is_growth
