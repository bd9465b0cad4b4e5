"""Merged statistics of one window per row: what the window features (families J to Q) read. No feature is here.

`Merged` merges a statistic when a feature first asks for it, for all windows at once; a `Window` is one length of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt

from fluxforge_assets.features.books import BPS, Float64Array, divide
from fluxforge_assets.features.merging import ByLength, Merger
from fluxforge_assets.features.statistics import MomentGroup, moments, statistics
from fluxforge_assets.tables import Merge
from fluxforge_collector.config.features import FeatureOptions

Columns = Mapping[str, Float64Array]
"""Values per row by stored name; NaN is null."""

NULL_COUNTS = {"n_pair = 0": "n_pair", "n_book = 0": "n_book", "lag_n = 0": "lag_n", "dur_n = 0": "dur_n",
               "no trade": "n_trade"}  # fmt: skip
"""The null rules of statistics, each with the count that is 0 where they are null."""
MOVED = 1e-12
"""A bucket's return is non-zero above this (catalogue 2.9)."""
GROSS_SHARE = 1e-9
"""A bucket's regressor is non-zero above this share of its gross (catalogue 2.9)."""
FLAT = 1e-24
"""Realised variance is zero up to this (catalogue 2.9)."""
CONSTANT = 1e-7
"""A standard deviation up to this share of the mean is rounding of a constant (catalogue 2.9)."""


def where_at_least(count: Float64Array, least: int, values: Float64Array) -> Float64Array:
    """The values, NaN where the count is NaN or less."""
    enough = count >= least
    return values if enough.all() else np.where(enough, values, np.nan)


def divide_above(numerator: Float64Array, denominator: Float64Array, least: float) -> Float64Array:
    """The quotient, NaN where the denominator is NaN or not above `least`."""
    above = denominator > least
    if above.all():
        return numerator / denominator
    return divide(numerator, np.where(above, denominator, np.nan))


@dataclass(frozen=True, slots=True)
class Rule:
    """How a statistic merges, the count that is 0 where it is null (empty: never null), whether it needs trades."""

    merge: Merge
    count: str = ""
    trades: bool = False


PAIR_SUM = Rule(Merge.SUM, "n_pair")
TRADE_SUM = Rule(Merge.SUM, "n_pair", trades=True)
BOOK_LAST = Rule(Merge.LAST, "n_book")


def _bps(columns: Columns) -> Float64Array:
    return BPS * columns["log_ret"]


def _signed_value(columns: Columns) -> Float64Array:
    """Signed value traded, NaN in buckets without a return."""
    value = columns["buy_qvol"] - columns["sell_qvol"]
    return np.where(np.isnan(columns["log_ret"]), np.nan, value)


def _is_signed(columns: Columns) -> Float64Array:
    gross = columns["buy_qvol"] + columns["sell_qvol"]
    return (np.abs(_signed_value(columns)) > GROSS_SHARE * gross).astype(np.float64)


def _weighted_ofi(columns: Columns, options: FeatureOptions, alpha: float) -> Float64Array:
    """Order flow imbalances of all ranks, added with weights e^(−αk)."""
    total = columns["ofi_l0"].copy()
    for k in range(1, options.ofi_levels):
        total += np.exp(-alpha * k) * columns[f"ofi_l{k}"]
    return total


GRID_SUMS: dict[str, tuple[Rule, Callable[[Columns, FeatureOptions], Float64Array]]] = {
    "n_rows": (Rule(Merge.SUM), lambda c, _: np.ones(len(c["n_pair"]))),
    "abs_ret": (PAIR_SUM, lambda c, _: np.abs(c["log_ret"])),
    "ret_sq": (PAIR_SUM, lambda c, _: np.square(c["log_ret"])),
    "ret_sq_up": (PAIR_SUM, lambda c, _: np.square(np.fmax(c["log_ret"], 0.0))),
    "ret_sq_dn": (PAIR_SUM, lambda c, _: np.square(np.fmin(c["log_ret"], 0.0))),
    "ret_4": (PAIR_SUM, lambda c, _: np.square(np.square(c["log_ret"]))),
    "n_moved": (PAIR_SUM, lambda c, _: (np.abs(c["log_ret"]) > MOVED).astype(np.float64)),
    "ofi_all": (PAIR_SUM, lambda c, o: _weighted_ofi(c, o, 0.0)),
    "ofi_decayed": (PAIR_SUM, lambda c, o: _weighted_ofi(c, o, o.ofi_decay_alpha)),
    "ofi_xx": (PAIR_SUM, lambda c, _: np.square(c["ofi_l0"])),
    "ofi_xy": (PAIR_SUM, lambda c, _: c["ofi_l0"] * _bps(c)),
    "ofi_nx": (PAIR_SUM, lambda c, _: (np.abs(c["ofi_l0"]) > GROSS_SHARE * c["ofi_abs_l0"]).astype(np.float64)),
    "trade_xx": (TRADE_SUM, lambda c, _: np.square(_signed_value(c))),
    "trade_xy": (TRADE_SUM, lambda c, _: _signed_value(c) * _bps(c)),
    "trade_nx": (TRADE_SUM, lambda c, _: _is_signed(c)),
    "net_vol": (Rule(Merge.SUM, trades=True), lambda c, _: np.abs(c["buy_vol"] - c["sell_vol"])),
}
"""The sums over buckets that follow from stored columns (catalogue 6.3): rule, and value of one bucket."""


@cache
def rules(options: FeatureOptions) -> dict[str, Rule]:
    """Merge rules of every stored statistic and of the static columns that windows read."""
    found = {
        column.name: Rule(column.merge, NULL_COUNTS.get(column.null, ""), column.trades)
        for column in statistics(options)
    }
    for name in ("mid", "spread_bps", "microprice", "imb_l0", f"imb_top{min(5, options.max_levels)}"):
        found[name] = BOOK_LAST
    return found


@cache
def groups(options: FeatureOptions) -> dict[str, MomentGroup]:
    """The group of each statistic that merges by Chan's rule, reduced to what it merges with."""
    found = {}
    for group in moments(options):
        related = {mean: {mean} for mean in group.means}
        for _, *pair in ((None, *c[:2]) for c in group.comoments):
            together = related[pair[0]] | related[pair[1]]
            for mean in together:
                related[mean] = together
        for mean in group.means:
            m2s = tuple(pair for pair in group.m2s if pair[0] in related[mean])
            comoments = tuple(triple for triple in group.comoments if triple[0] in related[mean])
            means = tuple(name for name in group.means if name in related[mean])
            part = MomentGroup(group.n, means, m2s, comoments)
            for name in (*means, *(m2 for _, m2 in m2s), *(c for *_, c in comoments)):
                found[name] = part
    return found


@dataclass
class Merged:
    """Statistics of rows merged over windows, each when first asked for.

    `columns`: float64 (n,) per stored name, NaN = null; `has_trades`: whether the trades feed is collected.
    """

    columns: Columns
    merger: Merger
    options: FeatureOptions
    has_trades: bool
    known: dict[str, ByLength] = field(default_factory=dict)

    def rule(self, name: str) -> Rule:
        """How a statistic merges."""
        return GRID_SUMS[name][0] if name in GRID_SUMS else self._rules[name]

    @cached_property
    def _rules(self) -> dict[str, Rule]:
        return rules(self.options)

    def by_length(self, name: str) -> ByLength:
        """A statistic merged over every window, before null rules."""
        if name not in self.known:
            self._merge(name)
        return self.known[name]

    def _merge(self, name: str) -> None:
        rule = self.rule(name)
        if rule.merge is Merge.CHAN:
            self._merge_moments(groups(self.options)[name])
            return
        with np.errstate(invalid="ignore"):
            values = GRID_SUMS[name][1](self.columns, self.options) if name in GRID_SUMS else self.columns[name]
        if rule.merge is Merge.SUM:
            self.known[name] = self.merger.add(values)
        elif rule.merge is Merge.MIN:
            self.known[name] = self.merger.minimum(values, np.inf if rule.count else 0.0)
        elif rule.merge is Merge.MAX:
            self.known[name] = self.merger.maximum(values, -np.inf if rule.count else 0.0)
        elif rule.merge is Merge.FIRST:
            self.known[name] = self.merger.first(values)
        else:
            self.known[name] = self.merger.last(values)

    def _merge_moments(self, group: MomentGroup) -> None:
        pairs = [(mean, mean, m2) for mean, m2 in group.m2s] + list(group.comoments)
        products = tuple((group.means.index(x), group.means.index(y)) for x, y, _ in pairs)
        names = (*group.means, *(name for *_, name in pairs))
        merged = self.merger.moments(
            group.n, self.columns[group.n], tuple(self.columns[name] for name in names), products
        )
        self.known.update(zip(names, merged, strict=True))


@dataclass
class Window:
    """One window per row. `window["ofi_l0"]` is the merged statistic, float64 (n,), NaN where it is null.

    `buckets`: its length; `longest`: that of the largest horizon; `shift`: how many buckets it ends before the row.
    """

    merged: Merged
    buckets: int
    longest: int
    shift: int = 0
    known: dict[str, Float64Array] = field(default_factory=dict)
    deviations: dict[str, Float64Array] = field(default_factory=dict)
    empties: dict[str, npt.NDArray[np.bool_] | None] = field(default_factory=dict)

    @property
    def options(self) -> FeatureOptions:
        """The options of the features."""
        return self.merged.options

    @property
    def has_trades(self) -> bool:
        """Whether the trades feed is collected."""
        return self.merged.has_trades

    @property
    def seconds(self) -> float:
        """Length of the window, s."""
        return self.buckets * self.options.bucket_us / 1e6

    @cached_property
    def previous(self) -> Window:
        """The window of the same length that ends where this one begins."""
        return Window(self.merged, self.buckets, self.longest, self.shift + self.buckets)

    @cached_property
    def widest(self) -> Window:
        """The window of the largest horizon."""
        return Window(self.merged, self.longest, self.longest)

    @cached_property
    def bucket(self) -> Window:
        """The row's own bucket."""
        return Window(self.merged, 1, self.longest)

    def __getitem__(self, name: str) -> Float64Array:
        """A statistic or grid sum of the window, NaN where it is null."""
        if name not in self.known:
            self.known[name] = self._nulled(name)
        return self.known[name]

    def _nulled(self, name: str) -> Float64Array:
        rule = self.merged.rule(name)
        values = self.merged.merger.at_rows(self.merged.by_length(name)[self.buckets], self.shift)
        if rule.trades and not self.has_trades:
            return np.full(len(values), np.nan)
        if rule.count:
            empty = self._empty(rule.count)
            if empty is not None:
                return np.where(empty, np.nan, values)
        return values

    def _empty(self, count: str) -> npt.NDArray[np.bool_] | None:
        """Where a count is 0; None where nowhere."""
        if count not in self.empties:
            empty = self[count] == 0
            self.empties[count] = empty if empty.any() else None
        return self.empties[count]

    def std(self, name: str, count: str) -> Float64Array:
        """Standard deviation of a statistic with moments; NaN for n < 2, exactly 0 where it is only rounding."""
        return self.deviation(f"{name}_m2", f"{name}_mean", count)

    def deviation(self, m2: str, mean: str, count: str) -> Float64Array:
        """As `std`, the three statistics by name."""
        if m2 not in self.deviations:
            n = self[count]
            with np.errstate(divide="ignore", invalid="ignore"):
                deviation: Float64Array = np.sqrt(self[m2] / (n - 1.0))
                deviation[deviation <= CONSTANT * np.abs(self[mean])] = 0.0
            self.deviations[m2] = where_at_least(n, 2, deviation)
        return self.deviations[m2]
