"""The soak in its short form: all kinds of faults over a few instruments; `make soak` runs it for an hour over a hundred."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(600)
def test_what_was_sent_through_faults_is_kept_or_in_a_gap_and_memory_is_bounded(tmp_path):
    arguments = ["--seconds", "20", "--instruments", "12", "--seed", "3", "--segment-seconds", "10"]
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
