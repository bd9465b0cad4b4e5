"""Partitions: the dates, the instruments, and both together. Keys become places of the lake here, and nowhere else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import UTC, datetime
from typing import Any

import click
import dagster as dg
from dagster._check import CheckError
from dagster._core.definitions.partitions.context import partition_loading_context

from fluxforge_assets.lake import named
from fluxforge_collector.config.model import Config
from fluxforge_collector.errors import FluxForgeError
from fluxforge_collector.instruments import Instrument

INSTRUMENTS = "instruments"
EXAMPLE = "2026-11-24|binanceus:BTC-USDT"
instruments = dg.DynamicPartitionsDefinition(name=INSTRUMENTS)


class UnknownKeyError(dg.DagsterError, click.ClickException):
    """A key that names no partition. Dagster's command line prints what it says, in one line, and ends."""


class _Told(ABC):
    """Partitions of which an unknown key is told why it is, by whoever is asked for it first."""

    @abstractmethod
    def why_unknown(self, key: str) -> str | None:
        """Why a key names no partition, with a remedy; None where it does."""

    def validate_partition_key(self, partition_key: str, context: Any) -> None:
        """Raises: UnknownKeyError. Dagster's command line asks."""
        with partition_loading_context(new_ctx=context):
            self._check(partition_key)

    def _check(self, *keys: str) -> None:
        for key in keys:
            if why := self.why_unknown(key):
                raise UnknownKeyError(f"partition {key!r}: {why}")


class Dates(_Told, dg.DailyPartitionsDefinition):
    """UTC dates."""

    def why_unknown(self, key: str) -> str | None:
        """Why a key names no partition, with a remedy; None where it does."""
        first = f"{self.start:%Y-%m-%d}"
        try:
            date = named.check_date(key)
        except FluxForgeError as error:
            return str(error)
        if key < first:
            return f"it lies before etl.start_date {first} — set an earlier one"
        return None if key == date else f"dates are written in full — write {date}"

    def get_partition_keys_in_range(self, partition_key_range: dg.PartitionKeyRange) -> Any:
        """The keys of a run. Raises: UnknownKeyError, also for one that has not begun, which Dagster would take."""
        self._check(partition_key_range.start, partition_key_range.end)
        return super().get_partition_keys_in_range(partition_key_range)


class InstrumentDates(_Told, dg.MultiPartitionsDefinition):
    """Date × instrument."""

    def __init__(self, dates: Dates) -> None:
        super().__init__({"date": dates, "instrument": instruments})
        self._dates = dates

    def why_unknown(self, key: str) -> str | None:
        """The same, asked where Dagster knows the instruments."""
        date, bar, name = key.partition("|")
        if not bar:
            return f"it names no instrument — write it like {EXAMPLE}"
        if why := self._dates.why_unknown(date):
            return why
        known = instruments.get_partition_keys()
        if name in known:
            return None
        if not known:
            return f"Dagster knows no instrument yet — set DAGSTER_HOME, or materialise bronze of {date} first"
        try:
            (meant,) = named.check_instruments([name], known)
        except FluxForgeError as error:
            return str(error)
        return f"its symbol is not path-safe — write {date}|{meant}"

    def get_partition_keys_in_range(
        self, partition_key_range: dg.PartitionKeyRange, dynamic_partitions_store: Any = None
    ) -> Any:
        """The keys of a run. Raises: UnknownKeyError where one of its ends is none, as GraphQL lets it be launched.

        Why is asked for only then: what Dagster knows of instruments is a query each time, and a run asks often.
        """
        with partition_loading_context(dynamic_partitions_store=dynamic_partitions_store):
            try:
                return super().get_partition_keys_in_range(partition_key_range)
            except (dg.DagsterError, CheckError):
                self._check(partition_key_range.start, partition_key_range.end)
                raise


def dates(config: Config) -> Dates:
    """UTC dates from the configured start to today, today included."""
    return Dates(start_date=config.etl.start_date, end_offset=1, timezone="UTC")


def instrument_dates(config: Config) -> InstrumentDates:
    """Date × instrument; a key reads like `EXAMPLE`."""
    return InstrumentDates(dates(config))


def partition_key(date: str, instrument: Instrument) -> dg.MultiPartitionKey:
    """The key of an instrument's date."""
    return dg.MultiPartitionKey({"date": date, "instrument": instrument.key})


def today() -> str:
    """The UTC date it is."""
    return datetime.now(UTC).date().isoformat()


def check_date(date: str) -> str:
    """The date itself. Raises: dagster.Failure where it is none that has begun."""
    try:
        return named.check_date(date)
    except FluxForgeError as error:
        raise dg.Failure(str(error), allow_retries=False) from None


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
