"""Figures of a lake in a bucket: the requests that landing takes, and its seconds beside the store and 30 ms away from it.

`python tests/bench/bench_bucket.py [--segments 20]` starts a store and a counting proxy on loopback, prints, and ends
with JSON. The store is a single process, so beside it the seconds are mostly its own.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.fault_proxy import FaultProxy
from support.lakes import bucket_lake, deliver
from support.market import records, seal
from support.s3 import Server

from fluxforge_assets.lake.landing import land


def main():
    """Measure, print, end with JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--segments", type=int, default=20)
    asked = parser.parse_args()
    server = Server()
    proxy = FaultProxy(server.port)
    found = {"bench": "bucket"}
    try:
        for name, mode, segments in (
            ("beside, many", "pass", asked.segments), ("far, many", "far", asked.segments), ("far, one", "far", 1),
        ):  # fmt: skip
            proxy.be(mode)
            with tempfile.TemporaryDirectory() as folder:
                found[name] = landing(Path(folder), server, proxy, segments)
            print(name, found[name], flush=True)
    finally:
        proxy.stop()
        server.stop()
    print(json.dumps({**found, "load_average": round(os.getloadavg()[0], 1)}))


def landing(folder, server, proxy, segments):
    """What it takes to land so many segments of three instruments, four channels each."""
    lake = bucket_lake(server, folder, endpoint=proxy.endpoint)
    manifests = seal(folder / "staging", records(1, seconds=10 * segments, gaps=0.05), segment_seconds=10)[:segments]
    deliver(folder / "staging", lake, manifests)
    requests, began = proxy.requests, time.monotonic()
    done = land(lake, "ccxt")
    took = time.monotonic() - began
    assert [m.id for m in done.manifests] == [m.id for m in manifests]
    files = sum(entry.file is not None for m in manifests for entry in m.channels.values())
    return {
        "segments": segments,
        "files": files,
        "requests_per_segment": round((proxy.requests - requests) / segments, 1),
        "seconds_per_segment": round(took / segments, 3),
    }


if __name__ == "__main__":
    main()
