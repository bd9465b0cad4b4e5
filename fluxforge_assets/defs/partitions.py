"""Partitions: the dates, the instruments, and both together. Keys become places of the lake here, and nowhere else."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg

from fluxforge_collector.config.model import Config
from fluxforge_collector.errors import FluxForgeError
from fluxforge_collector.instruments import Instrument

INSTRUMENTS = "instruments"
instruments = dg.DynamicPartitionsDefinition(name=INSTRUMENTS)


def dates(config: Config) -> dg.DailyPartitionsDefinition:
    """UTC dates from the configured start to today, today included."""
    return dg.DailyPartitionsDefinition(start_date=config.etl.start_date, end_offset=1, timezone="UTC")


def instrument_dates(config: Config) -> dg.MultiPartitionsDefinition:
    """Date × instrument; a key reads `2026-11-24|binanceus:BTC-USDT`."""
    return dg.MultiPartitionsDefinition({"date": dates(config), "instrument": instruments})


def partition_key(date: str, instrument: Instrument) -> dg.MultiPartitionKey:
    """The key of an instrument's date."""
    return dg.MultiPartitionKey({"date": date, "instrument": instrument.key})


def today() -> str:
    """The UTC date it is."""
    return datetime.now(UTC).date().isoformat()


def check_date(date: str) -> str:
    """The date itself. Raises: dagster.Failure where it has not begun, which Dagster lets pass in a range."""
    last = today()
    if date > last:
        raise dg.Failure(f"{date} has not begun (UTC today is {last}) — name a date up to today", allow_retries=False)
    return date


def split_key(key: str) -> tuple[str, Instrument]:
    """Date and instrument of a key. Raises: dagster.Failure where it is none."""
    date, _, name = key.partition("|")
    try:
        return check_date(date), Instrument.from_key(name)
    except FluxForgeError as error:
        raise dg.Failure(f"partition {key!r}: {error}", allow_retries=False) from None


def register(instance: dg.DagsterInstance, keys: set[str]) -> list[str]:
    """Make instruments known as partitions; the new ones."""
    new = sorted(keys - set(instance.get_dynamic_partitions(INSTRUMENTS)))
    if new:
        instance.add_dynamic_partitions(INSTRUMENTS, new)
    return new
