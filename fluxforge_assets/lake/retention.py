"""What the retention rules name, and deleting it: whole partitions at a time, oldest first.

Silver, gold and recorded frames go by their own rules. Bronze goes only where the silver made from it still stands; its
gap ledger and its manifests stay, and one day more than the rule says, because the first kept day looks back into it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fluxforge_assets.lake.advance import lock_name
from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.datasets import DATASETS, SILVER_ORDERBOOK, SILVER_TICKER, SILVER_TRADES, Dataset
from fluxforge_assets.lake.landing import landing_lock
from fluxforge_assets.lake.locks import locked
from fluxforge_assets.lake.marks import marks
from fluxforge_assets.lake.parts import parts_of
from fluxforge_assets.lake.paths import Lake, Place
from fluxforge_assets.lake.places import Selection, stored_places
from fluxforge_assets.lake.replacing import files_of
from fluxforge_assets.lake.swap import take_away
from fluxforge_collector.config.model import Retention
from fluxforge_collector.errors import FluxForgeError
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.records import Channel
from fluxforge_collector.segments.names import DAY_US, date_of
from fluxforge_collector.storage.bucket import LakePath

_SILVER = {
    Channel.ORDERBOOK: SILVER_ORDERBOOK,
    Channel.TRADES: SILVER_TRADES,
    Channel.TICKER: SILVER_TICKER,
}


@dataclass(frozen=True)
class Expired:
    """A partition that a rule names: its directory, and the lock of those who write there."""

    what: str
    partition: str
    rule: str
    directory: LakePath
    lock: str
    files: int
    size: int


@dataclass(frozen=True)
class Kept:
    """A partition that a rule names and that stays, with the reason."""

    what: str
    partition: str
    rule: str
    reason: str


def expired(lake: Lake, rules: Retention, *, now_us: int) -> Iterator[Expired | Kept]:
    """What the rules name today; nothing where no rule is set."""
    for dataset in DATASETS:
        days = rules.keep_silver_days if dataset.asset_key[0] == "silver" else rules.keep_gold_days
        if days is not None:
            rule = f"keep_{dataset.asset_key[0]}_days: {days}"
            for place in stored_places(lake, dataset, Selection(last=_last_expired(days, now_us))):
                yield _of_place(lake, dataset, place, rule)
    if rules.keep_raw_days is not None:
        rule = f"keep_raw_days: {rules.keep_raw_days}"
        last = _last_expired(rules.keep_raw_days + 1, now_us)
        for source in lake.sources():
            archive = Archive(lake, source)
            for date in [d for d in archive.dates() if d <= last]:
                yield from _of_bronze(lake, archive, date, rule)
    if rules.keep_frames_days is not None:
        rule = f"keep_frames_days: {rules.keep_frames_days}"
        last = _last_expired(rules.keep_frames_days, now_us)
        for source in lake.sources():
            archive = Archive(lake, source)
            for date in [d for d in archive.dates() if d <= last]:
                yield from _of_channel(archive, Channel.FRAMES, date, rule)


def delete(lake: Lake, one: Expired) -> None:
    """Delete a partition: readers see all of it or nothing. Raises: StorageError where the disk refuses."""
    with locked(lake, one.lock):
        take_away(one.directory, lake.work)


def _last_expired(days: int, now_us: int) -> str:
    """The newest date that is not among the last `days` complete ones."""
    return date_of(now_us - (days + 1) * DAY_US)


def _of_place(lake: Lake, dataset: Dataset, place: Place, rule: str) -> Expired:
    directory = lake.partition(place, dataset.folder)
    partition = f"{place.date}|{place.instrument.key}"
    return Expired(dataset.asset, partition, rule, directory, lock_name(dataset, place), *_weight(directory))


def _of_bronze(lake: Lake, archive: Archive, date: str, rule: str) -> Iterator[Expired | Kept]:
    """The channels of a date; gaps are not among them."""
    for channel in _SILVER:
        found = list(_of_channel(archive, channel, date, rule))
        reason = _why_kept(lake, archive, channel, date) if found else None
        if reason is not None:
            yield Kept(f"bronze/{channel.value}", date, rule, reason)
        else:
            yield from found


def _of_channel(archive: Archive, channel: Channel, date: str, rule: str) -> Iterator[Expired]:
    """A channel's date, where anything of it stands."""
    directory = archive.paths.archive_dir / channel.value / f"date={date}"
    if directory.is_dir():
        lock = landing_lock(archive.source)
        yield Expired(f"bronze/{channel.value}", date, rule, directory, lock, *_weight(directory))


def _why_kept(lake: Lake, archive: Archive, channel: Channel, date: str) -> str | None:
    """Why bronze must stay; None where everything made from it is stored."""
    if any((known.source, known.date) == (archive.source, date) for known in marks(lake)):
        return "segments of the date still wait to be computed"
    try:
        manifests = [archive.manifest(name) for name in archive.names(date)]
    except FluxForgeError as error:
        return str(error)
    keys = {key for m in manifests if channel in m.channels for key in m.channels[channel].instruments}
    for key in sorted(keys):
        place = Place(archive.source, Instrument.from_key(key), date)
        if not parts_of(lake.partition(place, _SILVER[channel].folder)):
            return f"{_SILVER[channel].asset} of {key} is not stored"
    return None


def _weight(directory: LakePath) -> tuple[int, int]:
    sizes = [path.stat().st_size for path in files_of(directory) if path.is_file()]
    return len(sizes), sum(sizes)
