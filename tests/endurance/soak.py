"""The soak: the whole collector over hours of a misbehaving exchange, its memory, queue and account at the end.

    python -m endurance.soak --seconds 3600 [--seed N] [--report FILE]

Simulated exchanges and the collector are the real commands, in processes of their own. Faults of all kinds are drawn
from the seed; then a quiet time follows, so that the last of them is noticed. Prints one line, and the report as JSON;
exits 1 where a promise is broken.
"""

import argparse
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from statistics import linear_regression, median, stdev

import yaml
from endurance.balance import Balance, balance

from fluxforge_collector.health.heartbeat import heartbeats, read_heartbeat
from fluxforge_collector.simulator import listing
from fluxforge_collector.simulator.scenario import draw_soak

SYMBOLS = [f"{base}/{quote}" for quote in listing._QUOTES for base in listing._BASES]
FLUSH_S = 5.0
MOST_RSS_MB = 300
PATIENCE_S = 60
FLOOR_S = 120
MOST_FEW = 4  # so few floors make no line
QUIET_S = 40  # a silence of 20 s, 10 s to notice one, and the way back


def main() -> int:
    """Soak, print, and say by the exit code whether every promise was kept."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--exchanges", default="binanceus,okx,binance")
    parser.add_argument("--native", action="store_true", help="collect Coinbase natively, not through ccxt")
    parser.add_argument("--instruments", type=int, default=100)
    parser.add_argument("--speed", type=float, default=1.0, help="simulated seconds per second")
    parser.add_argument("--segment-seconds", type=int, default=60)
    parser.add_argument("--fluxforge", type=Path, default=Path(sys.executable).with_name("fluxforge"))
    parser.add_argument("--folder", type=Path, help="where lake and logs go; default a temporary one, then deleted")
    parser.add_argument("--report", type=Path, help="write the JSON report there, too")
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    with contextlib.ExitStack() as stack:
        folder = asked.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        report = soak(asked, folder)
    print(json.dumps(report))
    print(line(report))
    if asked.report:
        asked.report.write_text(json.dumps(report, indent=1) + "\n")
    return 1 if report["broken"] else 0


def soak(asked, folder: Path) -> dict:
    """Run exchange and collector for so long; the report of what they did."""
    shares = share_out(asked.exchanges.split(","), asked.instruments)
    truth, root = folder / "truth.ndjson", folder / "lake"
    scenario = drawn(asked, shares, folder / "faults.yaml")
    exchange = Exchange(asked, shares, scenario, truth)
    try:
        file = configured(folder, root, exchange.url, shares, asked)
        collector = Collector(asked.fluxforge, file, folder / "collector.log")
        try:
            samples = Samples(collector)
            samples.gather(asked.seconds + QUIET_S)
            stats = exchange.pause()
            queue = collector.queue()
            collected = collector.stop()
        finally:
            collector.kill()
    finally:
        exchange.stop()
    found = balance(truth, root, flush_s=FLUSH_S, native=native_of(asked))
    return judged(asked, samples, queue, stats, collected, found, silent_streams(root))


def share_out(exchanges: list[str], instruments: int) -> dict[str, list[str]]:
    """So many instruments over the exchanges, as evenly as they go."""
    counts = [instruments // len(exchanges) + (n < instruments % len(exchanges)) for n in range(len(exchanges))]
    return {exchange: SYMBOLS[:count] for exchange, count in zip(exchanges, counts, strict=True)}


def drawn(asked, shares: dict[str, list[str]], file: Path) -> Path:
    """The faults of the seed, as a scenario."""
    steps = draw_soak(asked.seed, tuple(shares), tuple(max(shares.values(), key=len)), asked.seconds)
    file.write_text(yaml.safe_dump({"faults": [asdict(step) for step in steps]}))
    return file


def native_of(asked) -> list[str]:
    """The exchanges that are a source of their own."""
    return ["coinbase"] if asked.native else []


def configured(folder: Path, root: Path, url: str, shares: dict[str, list[str]], asked) -> Path:
    """The collector's configuration: its defaults, but for where everything is."""
    native = native_of(asked)
    exchanges = {exchange: {"symbols": symbols, "base_url": url} for exchange, symbols in shares.items()}
    file = folder / "fluxforge.yaml"
    values = {
        "lake": {"root": str(root)},
        "metrics": {"port": 0},
        "ingestion": {
            "segment_max_seconds": asked.segment_seconds,
            "flush_interval_seconds": FLUSH_S,
            "shutdown_grace_seconds": PATIENCE_S,
        },
        "exchanges": {name: settings for name, settings in exchanges.items() if name not in native},
        **{name: exchanges[name] for name in native},
    }
    file.write_text(yaml.safe_dump(values))
    return file


def silent_streams(root: Path) -> list[str]:
    """What was asked for and never brought anything, by the sign of life the collector left last."""
    streams = [stream for file in heartbeats(root) for stream in read_heartbeat(file).streams]
    return [f"{s.exchange} {s.symbol} {s.channel}" for s in streams if s.last_us is None]


class Exchange:
    """The simulated exchange in a process of its own."""

    def __init__(self, asked, shares: dict[str, list[str]], scenario: Path, truth: Path) -> None:
        instruments = max(shares.values(), key=len)
        self._process = subprocess.Popen(
            [
                asked.fluxforge, "exchange", "--port", "0", "--json", "--seed", str(asked.seed), "--scenario", scenario,
                "--speed", str(asked.speed), "--truth", truth, "--exchanges", ",".join(shares),
                "--instruments", ",".join(instruments),
            ],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.url = json.loads(self._process.stdout.readline())["url"]
        threading.Thread(target=self._drain, daemon=True).start()

    def _drain(self) -> None:
        for _ in self._process.stdout:
            pass

    def pause(self) -> dict:
        """Send nothing more; returns once the collector has taken all that was sent."""
        request = urllib.request.Request(f"{self.url}/_control/pause", method="POST")
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return json.load(answer)

    def stop(self) -> None:
        """End it, its truth written."""
        self._process.terminate()
        self._process.wait(PATIENCE_S)


class Collector:
    """`fluxforge collect` in a process of its own."""

    def __init__(self, fluxforge: Path, config: Path, log: Path) -> None:
        self._log_file = log
        self._log = log.open("w")
        self._process = subprocess.Popen(
            [fluxforge, "collect", "--config", config, "--json"], stdout=subprocess.PIPE, stderr=self._log, text=True
        )

    def rss_mb(self) -> float:
        """Resident memory, MiB. Raises: ProcessLookupError where it has died."""
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self._process.pid}/status").read_text())
        if found is None:
            raise self._death()
        return int(found[1]) / 1024

    def _death(self) -> ProcessLookupError:
        """That it has ended though nobody asked for it, and its last words."""
        words = self._log_file.read_text()[-2000:]
        return ProcessLookupError(f"the collector has ended with {self._process.wait(PATIENCE_S)}: {words}")

    def cpu_s(self) -> float:
        """User and system seconds used so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def queue(self) -> dict[str, float]:
        """What its own metrics say of the queue: by the end of their names."""
        address = re.search(r'"address": "(http://[^"]+)"', self._log_file.read_text())[1]
        with urllib.request.urlopen(f"{address}/metrics", timeout=PATIENCE_S) as answer:
            lines = re.findall(r"^fluxforge_queue_(\w+)(?:{.*})? (\S+)$", answer.read().decode(), re.MULTILINE)
        return {name: float(value) for name, value in lines}

    def stop(self) -> dict:
        """Stop it in order; its report."""
        self._process.send_signal(signal.SIGTERM)
        out, _ = self._process.communicate(timeout=2 * PATIENCE_S)
        if self._process.returncode:
            raise self._death()
        return json.loads(out.splitlines()[-1])

    def kill(self) -> None:
        """End it however it stands."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


class Samples:
    """Memory and CPU of the collector, once a second."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self.at_s: list[float] = []
        self.rss_mb: list[float] = []
        self.cpu_s = 0.0

    def gather(self, seconds: float) -> None:
        """Sample for so long."""
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            self.at_s.append(passed)
            self.rss_mb.append(self._collector.rss_mb())
            self.cpu_s = self._collector.cpu_s()
            time.sleep(1)

    def by_tenth(self) -> list[float]:
        """The peak of each tenth of the time."""
        cuts = [len(self.rss_mb) * tenth // 10 for tenth in range(11)]
        return [round(max(self.rss_mb[start:end]), 1) for start, end in pairwise(cuts) if start < end]


def trend(at_s: list[float], rss_mb: list[float]) -> dict:
    """What resident memory comes to, and how its floor goes in the second half of the time, as a straight line.

    The floor is the least of each two minutes, after a seal has given back what was free: a leak raises it, what is
    held for a moment does not. In the first half what is bounded fills, such as the last trades of quiet instruments.
    """
    half_s = at_s[-1] / 2
    floors = floors_of(at_s, rss_mb)
    later = [(at, mb) for at, mb in floors if at >= half_s]
    slope, noise = 0.0, 0.0
    if len(later) > MOST_FEW:
        slope, start = linear_regression(*zip(*later, strict=True))
        noise = stdev(mb - start - slope * at for at, mb in later)
    return {
        "median_mb": round(median(rss_mb), 1),
        "peak_mb": round(max(rss_mb), 1),
        "floors_mb": [round(mb, 1) for _, mb in floors],
        "floors_judged": len(later),
        "slope_mb_per_hour": round(slope * 3600, 2),
        "growth_mb": round(slope * half_s, 2),
        "noise_mb": round(noise, 2),
    }


def floors_of(at_s: list[float], rss_mb: list[float]) -> list[tuple[float, float]]:
    """The least of each two minutes, with its time."""
    floors: dict[int, tuple[float, float]] = {}
    for at, mb in zip(at_s, rss_mb, strict=True):
        place = int(at // FLOOR_S)
        floors[place] = min(floors.get(place, (mb, at)), (mb, at))
    return [(at, mb) for mb, at in floors.values()]


def judged(
    asked, samples: Samples, queue: dict, stats: dict, collected: dict, found: Balance, silent: list[str]
) -> dict:
    """The report, and in `broken` the promises that were not kept."""
    memory = trend(samples.at_s, samples.rss_mb)
    broken = []
    if found.wrong:
        broken.append("the account does not balance")
    if queue["peak_records"] >= queue["limit_records"]:
        broken.append("the queue was full")
    if memory["peak_mb"] >= MOST_RSS_MB:
        broken.append(f"more than {MOST_RSS_MB} MB resident")
    if memory["growth_mb"] > 2 * memory["noise_mb"]:
        broken.append("memory grows")
    # what an exchange refuses is never sent, and so in no account
    broken += [f"nothing came of {stream}" for stream in silent[:5]]
    if stats["faults_ordered"] == 0:
        broken.append("no fault happened")
    return {
        "seconds": asked.seconds,
        "seed": asked.seed,
        "exchanges": asked.exchanges,
        "instruments": asked.instruments,
        "frames_sent": stats["frames_sent"],
        "faults_ordered": stats["faults_ordered"],
        "frames_struck": stats["faults"],
        "collected": collected,
        "account": found.to_dict(),
        "memory": memory,
        "rss_mb_by_tenth": samples.by_tenth(),
        "queue": queue,
        "cpu_us_per_frame": round(samples.cpu_s / max(1, collected["frames"]) * 1e6, 1),
        "broken": broken,
    }


def line(report: dict) -> str:
    """The report in one line."""
    account, memory, queue = report["account"], report["memory"], report["queue"]
    return (
        f"soak of {report['seconds']:.0f} s, seed {report['seed']}, {report['instruments']} instruments: "
        f"{account['sent']:,} states sent through {report['faults_ordered']} faults, {account['kept']:,} kept, "
        f"{account['in_gaps']:,} inside {account['gap_rows']:,} gaps, {account['unseen']} no client can know of, "
        f"{account['wrong_count']} wrong; RSS {memory['median_mb']} MB, at most {memory['peak_mb']}, "
        f"its floor {memory['growth_mb']:+} MB in the second half (noise {memory['noise_mb']}); "
        f"queue at most {queue['peak_records']:.0f} of {queue['limit_records']:.0f}; "
        f"{', '.join(report['broken']) or 'every promise kept'}"
    )


if __name__ == "__main__":
    sys.exit(main())
