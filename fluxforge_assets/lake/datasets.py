"""The datasets under `processed/`: which there are, where they stand and which columns they have. No rows here."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fluxforge_assets.tables import Column, Dtype, Kind
from fluxforge_collector.config.features import FeatureOptions
from fluxforge_collector.errors import DataError


def _column(name: str, dtype: Dtype, unit: str, null: str, description: str, formula: str = "") -> Column:
    return Column(name, dtype, "key", Kind.KEY, unit, null, description, formula)


EXCHANGE = _column("exchange", Dtype.STRING, "", "never", "Exchange id.")
SYMBOL = _column("symbol", Dtype.STRING, "", "never", "Symbol in its path-safe form, as in the folder.")
DATE = _column("date", Dtype.STRING, "", "never", "UTC date of the partition, as in the folder.")
_KEYS = (EXCHANGE, SYMBOL, DATE)
_ARRIVAL = (
    _column("ts", Dtype.I64, "us", "never", "When the collector received it."),
    _column("exchange_ts", Dtype.I64, "ms", "not sent", "When the exchange says it happened."),
    _column("seq", Dtype.I64, "", "never", "Arrival ordinal; orders rows of equal ts."),
)

TRADES = (
    *_KEYS,
    *_ARRIVAL,
    _column("trade_id", Dtype.STRING, "", "not sent", "The exchange's id of the trade."),
    _column("side", Dtype.STRING, "", "not sent", "The taker's side: buy or sell."),
    _column("price", Dtype.F64, "px", "never", "Price."),
    _column("amount", Dtype.F64, "base", "never", "Amount."),
    _column("cost", Dtype.F64, "quote", "never", "Value of the trade.", "as sent, else price · amount"),
    _column("backfilled", Dtype.I8, "", "never", "1 where it was fetched after a gap, else 0."),
)  # fmt: skip

TICKER = (
    *_KEYS,
    *_ARRIVAL,
    _column("bid", Dtype.F64, "px", "not sent, or not a positive number", "Best bid."),
    _column("ask", Dtype.F64, "px", "not sent, or not a positive number", "Best ask."),
    _column("bid_volume", Dtype.F64, "base", "not sent", "Size at the best bid."),
    _column("ask_volume", Dtype.F64, "base", "not sent", "Size at the best ask."),
    _column("mid", Dtype.F64, "px", "no bid, no ask, or ask < bid", "Mid price.", "(bid + ask) / 2"),
    _column("spread", Dtype.F64, "px", "as mid", "Spread.", "ask − bid"),
    _column("spread_bps", Dtype.F64, "bps", "as mid", "Spread relative to the mid.", "1e4 · spread / mid"),
    _column("last", Dtype.F64, "px", "not sent", "Price of the last trade."),
    _column("open", Dtype.F64, "px", "not sent", "Price 24 h ago."),
    _column("high", Dtype.F64, "px", "not sent", "Highest price of 24 h."),
    _column("low", Dtype.F64, "px", "not sent", "Lowest price of 24 h."),
    _column("close", Dtype.F64, "px", "not sent", "Last price, again."),
    _column("vwap", Dtype.F64, "px", "not sent", "Volume-weighted price of 24 h."),
    _column("base_volume", Dtype.F64, "base", "not sent", "Volume of 24 h."),
    _column("quote_volume", Dtype.F64, "quote", "not sent", "Value traded in 24 h."),
    _column("change", Dtype.F64, "px", "not sent", "Change over 24 h."),
    _column("percentage", Dtype.F64, "%", "not sent", "Change over 24 h, relative."),
)  # fmt: skip


def _silver(options: FeatureOptions) -> tuple[Column, ...]:
    from fluxforge_assets.features.catalogue import silver_columns  # noqa: PLC0415  loads the features only where they are asked for

    return _partitioned(silver_columns(options))


def _bars(options: FeatureOptions) -> tuple[Column, ...]:
    from fluxforge_assets.bars import bar_columns  # noqa: PLC0415  as above

    return _partitioned(bar_columns(options))


def _labels(options: FeatureOptions) -> tuple[Column, ...]:
    from fluxforge_assets.labels import label_columns  # noqa: PLC0415  as above

    return _partitioned(label_columns(options))


def _vpin(options: FeatureOptions) -> tuple[Column, ...]:
    from fluxforge_assets.gold import vpin_columns  # noqa: PLC0415  as above

    return _partitioned(vpin_columns(options))


def _cross_venue(options: FeatureOptions) -> tuple[Column, ...]:
    from fluxforge_assets.gold import cross_venue_columns  # noqa: PLC0415  as above

    return _partitioned(cross_venue_columns(options))


def _ofi_integrated(options: FeatureOptions) -> tuple[Column, ...]:
    from fluxforge_assets.gold import ofi_integrated_columns  # noqa: PLC0415  as above

    return _partitioned(ofi_integrated_columns(options))


def _partitioned(columns: Sequence[Column]) -> tuple[Column, ...]:
    """The columns with the partition's own three first."""
    return (*_KEYS, *(c for c in columns if c.name not in {"exchange", "symbol", "date"}))


@dataclass(frozen=True, slots=True)
class Dataset:
    """A processed dataset: the asset that writes it, its folder, columns and key within a partition."""

    asset: str
    folder: str
    description: str
    columns: Callable[[FeatureOptions], tuple[Column, ...]]
    key: tuple[str, ...]
    drawn: tuple[str, ...] = ()
    """The columns that show it best; where none is named, the first with values do."""
    looks_ahead: bool = False
    """Whether its values tell of what came after their rows."""

    @property
    def asset_key(self) -> list[str]:
        """Dagster's key."""
        return self.asset.split("/")

    def fingerprint(self, options: FeatureOptions) -> str:
        """What identifies the values stored: changes whenever a partition must be computed again."""
        if self.folder in {"trades", "ticker"}:
            names = "\n".join(f"{c.name} {c.dtype} {c.formula}" for c in self.columns(options))
            return hashlib.sha256(names.encode()).hexdigest()[:16]
        from fluxforge_assets.features.fingerprint import fingerprint  # noqa: PLC0415  as above

        return fingerprint(self.columns(options), options)


SILVER_ORDERBOOK = Dataset(
    "silver/orderbook", "orderbook/hf",
    "Features of the order book and the trades, one row per instrument and bucket.", _silver, ("ts",),
    ("spread_bps", "ofi_l0", "imb_l0"),
)  # fmt: skip
SILVER_TRADES = Dataset(
    "silver/trades", "trades",
    "Every trade once, cleaned: a positive price and amount, the taker's side in lower case.",
    lambda _: TRADES, ("ts", "seq"), ("price", "amount"),
)  # fmt: skip
SILVER_TICKER = Dataset(
    "silver/ticker", "ticker",
    "The exchange's own summaries, cleaned, with mid and spread; a cross-check, not an input.",
    lambda _: TICKER, ("ts", "seq"), ("mid", "spread_bps"),
)  # fmt: skip
GOLD_BARS = Dataset(
    "gold/bars", "orderbook/bars",
    "Bars of every duration (`bar_us`), rolled up from silver; stamped at their end.", _bars, ("ts", "bar_us"),
    ("mid_close", "vol"),
)  # fmt: skip
GOLD_LABELS = Dataset(
    "gold/labels", "gold/labels",
    "LOOK-AHEAD: what came after each silver row. Targets to fit to, never an input of a model. A row is stored once "
    "its longest window has ended.", _labels, ("ts",), looks_ahead=True,
)  # fmt: skip
GOLD_VPIN = Dataset(
    "gold/vpin", "gold/vpin",
    "Order imbalance on a volume clock, one row per volume bucket; the clock starts anew each UTC day.",
    _vpin, ("ts", "vpin_bucket"), ("vpin", "imbalance"),
)  # fmt: skip
GOLD_CROSS_VENUE = Dataset(
    "gold/cross_venue", "gold/cross_venue",
    "Each silver row against the same symbol on the other exchanges: deviation, dispersion, lead and lag.",
    _cross_venue, ("ts",), ("xv_dev_bps", "xv_disp_bps"),
)  # fmt: skip
GOLD_OFI_INTEGRATED = Dataset(
    "gold/ofi_integrated", "gold/ofi_integrated",
    "Order flow of all levels on its first principal component, which is fitted to the days before.",
    _ofi_integrated, ("ts",), ("ofi_int", "ofi_int_share"),
)  # fmt: skip
REFRESHED = (GOLD_LABELS, GOLD_VPIN, GOLD_CROSS_VENUE, GOLD_OFI_INTEGRATED)
"""Those brought up to date every few minutes; the others with every real-time run."""
DATASETS = (SILVER_ORDERBOOK, SILVER_TRADES, SILVER_TICKER, GOLD_BARS, *REFRESHED)


def dataset_of(asset: str) -> Dataset:
    """The dataset of an asset name. Raises: DataError that names the nearest."""
    known = {dataset.asset: dataset for dataset in DATASETS}
    if asset not in known:
        near = difflib.get_close_matches(asset, known, n=1)
        raise DataError(f"there is no dataset {asset!r}", f"did you mean {near[0]}?" if near else ", ".join(known))
    return known[asset]
