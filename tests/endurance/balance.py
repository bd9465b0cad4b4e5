"""The balance of a run: `support.account` over a truth file and a whole lake, an instrument at a time, so hours fit."""

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import get_args, get_type_hints

import orjson
import polars as pl
from support.account import CHANNELS, NOTHING, gaps_of, kept_of, sent_of, settle, span_of

from fluxforge_collector.segments.manifest import read_manifest, verify
from fluxforge_collector.segments.names import SourcePaths
from fluxforge_collector.sequence import is_proven
from fluxforge_collector.simulator.faults import parse_fault
from fluxforge_collector.simulator.truth import FaultTruth, FrameTruth

_SILENT_S = 30  # the default of `stale_after_seconds`
_TYPES = {int: pl.Int64, str: pl.String, bool: pl.Boolean}


@dataclass
class Balance:
    """What became of the states sent; `wrong` is empty where every one is accounted for.

    `kept` are in bronze, `in_gaps` were lost inside a gap row, `unseen` were never put on the wire, on a channel whose
    exchange gives no means to notice it.
    """

    sent: int
    kept: int
    in_gaps: int
    unseen: int
    gap_rows: int
    segments: int
    wrong_count: int
    wrong: list[str] = field(default_factory=list)

    def to_dict(self):
        """Plain values for JSON."""
        return asdict(self)


def balance(truth_file: Path, root: Path, *, flush_s: float, native: Collection[str] = ()) -> Balance:
    """Compare what was sent with what was kept; `native` are the exchanges that are a source of their own.

    Raises: ManifestError where a segment cannot be believed.
    """
    sources = ["ccxt", *native]
    ready = [SourcePaths(root, source).ready_dir for source in sources]
    manifests = [(manifest, folder) for folder in ready for manifest in sorted(folder.glob("segment_*.json"))]
    for manifest, folder in manifests:
        verify(read_manifest(manifest), folder)
    ledgers, account = {source: gaps_of(root, source) for source in sources}, NOTHING
    frames = _frames(truth_file)
    causes = _causes(truth_file, frames)
    for instrument, its in frames.group_by("exchange", "symbol"):
        exchange = instrument[0]
        source = exchange if exchange in native else "ccxt"
        sent = sent_of(map(FrameTruth._make, its.iter_rows()), {})
        kept = kept_of(root, source, instrument=instrument)
        for channel in CHANNELS:
            stream = (*instrument, channel)
            part = settle(
                sent.get(stream, []),
                kept.get(stream, []),
                ledgers[source].get(stream, []),
                causes[exchange],
                proven=is_proven(exchange, channel),
                flush_us=round(flush_s * 1e6),
                is_book=channel == "orderbook",
                is_state=channel != "trades",
            )
            account += part._replace(wrong=[f"{' '.join(stream)}: {what}" for what in part.wrong])
    return Balance(*account[:4], account.gaps, len(manifests), len(account.wrong), account.wrong[:50])


def _frames(file: Path) -> pl.DataFrame:
    """The frames of the truth, in the order sent."""
    names, hints = FrameTruth._fields, get_type_hints(FrameTruth)
    kinds = {
        name: next(_TYPES[kind] for kind in (*get_args(hints[name]), hints[name]) if kind in _TYPES) for name in names
    }
    frames = pl.scan_ndjson(file, schema=kinds, ignore_errors=True).filter(pl.col("channel").is_in(CHANNELS))
    return frames.select(names).collect(engine="streaming")


def _causes(file: Path, frames: pl.DataFrame) -> dict[str, list[tuple[float, float]]]:
    """By exchange, when something happened that may bring gaps about: faults ordered, and frames they struck."""
    with file.open("rb") as lines:
        steps = [orjson.loads(line) for line in lines if b'"ordered":' in line]
    faults = [FaultTruth(step["wall_us"], parse_fault(_plain(step["ordered"])), step["connections"]) for step in steps]
    found = {}
    for (exchange,), its in frames.group_by("exchange"):
        struck = its.filter(pl.col("fault").is_not_null())["wall_us"].to_list()
        # a restart strikes all
        ordered = [one for one in faults if one.fault.kind == "restart" or one.fault.exchange in {None, exchange}]
        found[exchange] = _joined(
            [*((at_us, at_us) for at_us in struck), *(span_of(one, _SILENT_S) for one in ordered)]
        )
    return found


def _plain(step: dict) -> dict:
    """A step of a scenario without its times."""
    return {key: value for key, value in step.items() if key not in {"at_s", "at_frame"}}


def _joined(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Spans with those taken together that lie within a second of each other."""
    done: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if done and start <= done[-1][1] + 1e6:
            done[-1] = (done[-1][0], max(done[-1][1], end))
        else:
            done.append((start, end))
    return done
