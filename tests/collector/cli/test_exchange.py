"""`fluxforge exchange` as a process: its address, its counts, its end, and its errors in one line."""

import json
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

COMMAND = [sys.executable, "-c", "from fluxforge_collector.cli import main; main()", "exchange"]


def run(*arguments):
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_serves_for_its_seconds_and_leaves_truth_behind(tmp_path):
    truth = tmp_path / "truth.jsonl"
    done = run("--port", "0", "--seconds", "0.5", "--json", "--truth", str(truth))
    first, *_, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert first["url"].startswith("http://127.0.0.1:")
    assert last["frames_sent"] == 0
    assert truth.read_bytes() == b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(number):
    with subprocess.Popen([*COMMAND, "--port", "0", "--json"], stdout=subprocess.PIPE, text=True) as process:
        url = json.loads(process.stdout.readline())["url"]
        with urllib.request.urlopen(f"{url}/_control/stats", timeout=10) as answer:
            assert json.load(answer)["connections"] == 0
        process.send_signal(number)
        assert process.wait(timeout=20) == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--instruments", "NO/USDT"], "NO/USDT"),
        (["--instruments", ","], "nothing to serve"),
        (["--exchanges", "mtgox"], "mtgox"),
        (["--capture", "absent.gz"], "absent.gz"),
        (["--speed", "fast"], "fast"),
        (["--speed", "0"], "0.0"),
        (["--speed", "inf"], "inf"),
        (["--truth", "no/such/truth.jsonl", "--port", "0"], "truth.jsonl"),
    ],
)
def test_wrong_input_is_one_line_with_a_remedy(arguments, named):
    done = run(*arguments)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert named in done.stderr
    assert " — " in done.stderr


def test_a_taken_port_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = run("--port", port)
    assert done.returncode == 2
    assert done.stderr.startswith(f"fluxforge: cannot serve on port {port}: Address already in use — ")
