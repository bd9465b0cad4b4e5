"""The configuration's sections, their keys and defaults; what is collected is in `sources`, reading them in `load`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from fluxforge_collector.config.features import FeatureOptions
from fluxforge_collector.config.section import Section
from fluxforge_collector.config.sources import Asked, Coinbase, Exchange
from fluxforge_collector.errors import InstrumentError
from fluxforge_collector.instruments import check_exchange

IN_BUCKET = re.compile(r"s3://([a-z0-9][a-z0-9._-]{1,61}[a-z0-9])(?:/(.*))?")
"""A place in a bucket: the bucket's name, and the way below it."""


def is_place(text: str) -> bool:
    """Whether a word names a directory or a place in a bucket: one misspelt, or of another store, is neither."""
    return IN_BUCKET.fullmatch(text) is not None or not (text.startswith("s3:") or "://" in text)


def _check_place(text: str | None) -> str | None:
    if text is not None and not is_place(text):
        raise ValueError(f"{text!r} names no bucket, which is written like s3://bucket/prefix")
    return text


class Lake(Section):
    """Where everything is kept."""

    root: str = Field("./lake", min_length=1, description="directory of the lake, or s3://bucket/prefix")
    work: str = Field(
        "./lake-work",
        min_length=1,
        description="local directory beside a lake in a bucket: journals, segments until they are sent, locks",
    )
    locks: SecretStr | None = Field(
        None,
        description="Postgres that holds the locks where several machines write to the lake, as "
        "postgresql://user@host/database, the password in it or in PGPASSWORD; null holds them in files",
    )

    _root_is_a_place = field_validator("root")(_check_place)

    @field_validator("locks")
    @classmethod
    def _locks_are_of_postgres(cls, locks: SecretStr | None) -> SecretStr | None:
        if locks is not None and not locks.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("locks begin with postgresql://")
        return locks

    @property
    def is_in_bucket(self) -> bool:
        """Whether the root is a bucket's, not a directory."""
        return self.root.startswith("s3:")


class Storage(Section):
    """How a bucket is reached. Without keys here, they come from the environment, a profile or the machine's role."""

    endpoint: str | None = Field(
        None, pattern=r"^https?://[^/\s]+$", description="address of an S3-compatible store; null is Amazon's"
    )
    region: str | None = Field(None, min_length=1, description="region; null takes the environment's, else us-east-1")
    path_style: bool | None = Field(
        None, description="whether the bucket stands in the path; null: yes where an endpoint is named"
    )
    access_key: SecretStr | None = None
    secret_key: SecretStr | None = None
    session_token: SecretStr | None = None
    profile: str | None = Field(None, min_length=1, description="profile of the AWS configuration to take keys from")
    connect_timeout_seconds: float = Field(5.0, gt=0, description="longest wait for a connection, s")
    read_timeout_seconds: float = Field(60.0, gt=0, description="longest silence of an answer, s")
    attempts: int = Field(5, ge=1, le=20, description="tries of a request before it counts as failed")
    workers: int = Field(8, ge=1, le=64, description="transfers at the same time")

    @model_validator(mode="after")
    def _keys_come_together(self) -> Self:
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("access_key and secret_key come together")
        return self


class Ingestion(Section):
    """How records reach the disk."""

    raw_format: Literal["parquet", "ndjson"] = Field(
        "parquet", description="format of segments; ndjson is a legacy one, larger and slower"
    )
    batch_size: int = Field(1000, ge=1, description="records that force a flush")
    flush_interval_seconds: float = Field(5.0, gt=0, le=300, description="longest time between flushes, s")
    queue_maxsize: int = Field(50_000, ge=100, description="records the queue holds")
    queue_max_mb: int = Field(64, ge=1, description="MiB the queue holds")
    record_frames: bool = Field(
        default=False, description="whether every frame and REST answer is kept verbatim, to be replayed"
    )
    segment_max_mb: int = Field(50, ge=1, description="journal size of a channel that closes the segment, MiB")
    segment_max_seconds: int = Field(60, ge=1, le=86_400, description="length of a segment, aligned to the epoch, s")
    parquet_compression: Literal["zstd"] = Field("zstd", description="codec of sealed files, of either format")
    parquet_compression_level: int = Field(3, ge=1, le=22, description="level of the codec")
    shutdown_grace_seconds: float = Field(20.0, gt=0, description="longest orderly stop, s")
    upload: Literal["immediate", "manual"] = Field(
        "immediate",
        description="where lake.root is a bucket: when sealed segments are sent; manual leaves it to `fluxforge sync`",
    )
    collector: str = Field(
        "c1", pattern=r"^[a-z0-9]{1,16}$", description="name of this collector, unique within the lake"
    )


class BookChannel(Section):
    """How silver order books and what follows from them are computed."""

    enabled: bool = True
    processor_options: FeatureOptions = FeatureOptions()


class PlainChannel(Section):
    """A channel whose silver is its bronze, cleaned."""

    enabled: bool = True


class Channels(Section):
    """The channels the assets build."""

    orderbook: BookChannel = BookChannel()
    trades: PlainChannel = PlainChannel()
    ticker: PlainChannel = PlainChannel()


class GoldTable(Section):
    """A gold table beside the bars."""

    enabled: bool = Field(default=True, description="whether the refresh keeps it up to date; a backfill works anyway")


class Gold(Section):
    """The gold tables that are refreshed every few minutes."""

    refresh_minutes: int = Field(15, ge=1, le=60, description="minutes between refreshes")
    labels: GoldTable = GoldTable()
    vpin: GoldTable = GoldTable()
    cross_venue: GoldTable = GoldTable()
    ofi_integrated: GoldTable = GoldTable()


class Etl(Section):
    """How bronze becomes silver and gold."""

    channels: Channels = Channels()
    gold: Gold = Gold()
    min_run_interval_seconds: float = Field(30.0, ge=0, description="least time between starts of real-time runs, s")
    stay_seconds: float = Field(3600.0, ge=0, description="how long a real-time run stays for what lands next, s")
    max_tries: int = Field(5, ge=1, description="failures in a row after which real-time runs leave a partition alone")
    start_date: str = Field("2024-01-01", pattern=r"^\d{4}-\d{2}-\d{2}$", description="first date partition, UTC")


class Compaction(Section):
    """How many files become few."""

    enabled: bool = Field(default=True, description="whether the daily run compacts")
    target_file_mb: int = Field(128, ge=1, description="size from which a file is left as it is, MiB")
    compression_level: int = Field(6, ge=1, le=22, description="zstd level of compacted files")
    min_age_hours: float = Field(1.0, ge=0, description="time after a day's end before it is compacted, h")
    hour: int = Field(2, ge=0, le=23, description="UTC hour of the daily run")
    days_back: int = Field(31, ge=1, description="days the daily run looks back")
    open_day_parts: int = Field(
        60, ge=2, description="appended parts of a partition of the open day from which on they are merged into one"
    )


class Retention(Section):
    """What may be deleted; null keeps for ever. Gap ledgers and manifests always stay."""

    keep_raw_days: int | None = Field(None, ge=1, description="days of bronze that can be computed from again")
    keep_silver_days: int | None = Field(None, ge=1, description="days of silver")
    keep_gold_days: int | None = Field(None, ge=1, description="days of gold")
    keep_frames_days: int | None = Field(None, ge=1, description="days of recorded frames")
    keep_local_days: float | None = Field(
        1.0, ge=0, description="days a segment that a bucket has stays in lake.work; null keeps for ever"
    )
    min_free_mb: int = Field(
        1024, ge=0, description="space on the disk of lake.work below which such segments go earlier, MiB"
    )
    keep_run_days: int = Field(1, ge=0, description="days a superseded Dagster run stays to be looked at")

    @property
    def has_rule(self) -> bool:
        """Whether anything of the lake is ever deleted."""
        rules = (self.keep_raw_days, self.keep_silver_days, self.keep_gold_days, self.keep_frames_days)
        return any(days is not None for days in rules)

    @model_validator(mode="after")
    def _raw_goes_first(self) -> Self:
        raw, silver = self.keep_raw_days, self.keep_silver_days
        if raw is not None and silver is not None and silver <= raw:
            raise ValueError(
                f"bronze is deleted only while its silver exists: keep_silver_days ({silver})"
                f" must be more than keep_raw_days ({raw})"
            )
        return self


class Sync(Section):
    """The other side that `fluxforge sync` and the daily `cloud_sync` job keep in step with the lake."""

    remote: str | None = Field(None, min_length=1, description="s3://bucket/prefix, or a directory; null: no daily run")
    include: tuple[str, ...] = Field((), description="patterns of keys to copy; empty is all")
    exclude: tuple[str, ...] = Field((), description="patterns of keys not to copy")
    delete: bool = Field(default=False, description="whether parts there that the lake has replaced are deleted")
    hour: int = Field(4, ge=0, le=23, description="UTC hour of the daily run")

    _remote_is_a_place = field_validator("remote")(_check_place)


class Checks(Section):
    """When the asset checks warn."""

    min_coverage: float = Field(0.99, ge=0, le=1, description="least share of the collected time that must be here")
    max_gap_seconds: float = Field(600.0, ge=0, description="most seconds in gaps, per instrument and date")
    max_age_seconds: int = Field(900, ge=60, description="age of the newest data that warns; twice that fails, s")
    max_ticker_deviation_bps: float = Field(25.0, gt=0, description="median distance of tickers from the mid, bps")


class Metrics(Section):
    """Where the collector shows itself."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: int = Field(9108, ge=0, le=65535, description="0 takes a free port")


class Health(Section):
    """When `fluxforge health` calls something degraded, or the collector down."""

    heartbeat_seconds: float = Field(30.0, gt=0, description="age of a collector's last sign of life: it is down")
    orderbook_seconds: float = Field(60.0, gt=0, description="silence of an order book stream, s")
    trades_seconds: float = Field(3600.0, gt=0, description="silence of a trades stream, s")
    ticker_seconds: float = Field(600.0, gt=0, description="silence of a ticker stream, s")
    queue_share: float = Field(0.5, gt=0, le=1, description="share of the queue that is filled")
    waiting_seconds: float = Field(900.0, gt=0, description="age of the oldest segment that waits for a run, s")
    min_free_mb: int = Field(1024, ge=0, description="space left on the lake's disk, MiB")
    quarantine_hours: float = Field(24.0, ge=0, description="hours for which a file put aside is told of, h")
    daemon_seconds: float = Field(120.0, gt=0, description="age of the last heartbeat of Dagster's daemon, s")

    def silence_seconds(self, channel: str) -> float:
        """The longest silence of a stream of a channel that is no fault."""
        return {"orderbook": self.orderbook_seconds, "trades": self.trades_seconds}.get(channel, self.ticker_seconds)


class Config(Section):
    """The whole configuration."""

    lake: Lake = Lake()
    storage: Storage = Storage()
    ingestion: Ingestion = Ingestion()
    exchanges: dict[str, Exchange] = Field(default_factory=dict)
    coinbase: Coinbase | None = None
    etl: Etl = Etl()
    compaction: Compaction = Compaction()
    retention: Retention = Retention()
    sync: Sync = Sync()
    checks: Checks = Checks()
    metrics: Metrics = Metrics()
    health: Health = Health()
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("exchanges")
    @classmethod
    def _exchange_ids(cls, value: dict[str, Exchange]) -> dict[str, Exchange]:
        for exchange in value:
            try:
                check_exchange(exchange)
            except InstrumentError as error:
                raise ValueError(str(error)) from error
        return value

    @model_validator(mode="after")
    def _depth_is_delivered(self) -> Self:
        depth = self.etl.channels.orderbook.processor_options.depth
        for source, name, exchange in self.asked():
            if exchange.orderbook_depth < depth:
                section = f"exchanges.{name}" if source == "ccxt" else source
                raise ValueError(
                    f"{section}.orderbook_depth ({exchange.orderbook_depth}) is less than the {depth} levels the"
                    " features read"
                )
        return self

    def asked(self) -> Iterator[tuple[str, str, Asked]]:
        """Everything that is collected: source, exchange, and what of it."""
        for name, exchange in self.exchanges.items():
            yield "ccxt", name, exchange
        if self.coinbase is not None:
            yield "coinbase", "coinbase", self.coinbase

    @property
    def root(self) -> Path:
        """The local directory that is written to, absolute: the lake's, or its `work` where the lake is in a bucket."""
        return Path(self.lake.work if self.lake.is_in_bucket else self.lake.root).expanduser().absolute()
