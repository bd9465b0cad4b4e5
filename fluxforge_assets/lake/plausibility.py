"""Judging whether stored prices can be a market's: bars that hold together, a mid that the tickers confirm."""

from __future__ import annotations

import polars as pl

from fluxforge_assets.lake.checks import Check, Stored, Verdict
from fluxforge_assets.lake.datasets import GOLD_BARS, SILVER_ORDERBOOK, SILVER_TICKER, Dataset

TICKER_AGE_US = 5_000_000
"""A ticker is compared with the mid of a row at most this much older."""


def check_bar_prices(stored: Stored) -> Verdict:
    """Each bar's low is its least price and its high the greatest, all are positive, and vwap lies between."""
    names = [f"{kind}_{part}" for kind in ("mid", "trade") for part in ("open", "high", "low", "close")]
    bars = stored.read([*names, "vwap"])
    if not bars.height:
        return Verdict(is_passed=True, detail="no rows")
    rules = {
        f"{kind}_{rule}": wrong
        for kind in ("mid", "trade")
        for rule, wrong in {
            "low": pl.min_horizontal(f"{kind}_open", f"{kind}_close", f"{kind}_high") < pl.col(f"{kind}_low"),
            "high": pl.max_horizontal(f"{kind}_open", f"{kind}_close", f"{kind}_low") > pl.col(f"{kind}_high"),
            "positive": pl.col(f"{kind}_low") <= 0,
        }.items()
    }
    # a sum of products divided again may leave the range by its last digits
    low, high = pl.col("trade_low") * (1 - 1e-9), pl.col("trade_high") * (1 + 1e-9)
    rules["vwap"] = ~pl.col("vwap").is_between(low, high)
    counted = bars.select(rule.fill_null(value=False).sum().alias(name) for name, rule in rules.items()).row(
        0, named=True
    )
    wrong = [f"{name} {count}" for name, count in counted.items() if count]
    return Verdict(not wrong, f"{bars.height} bars; {', '.join(wrong) or 'all consistent'}")


def check_ticker(stored: Stored) -> Verdict:
    """Half of the exchange's tickers lie within `checks.max_ticker_deviation_bps` of the book's mid at their time."""
    tickers = stored.read(["ts", "mid"], SILVER_TICKER)
    books = stored.read(["ts", "mid"])
    if not tickers.height or not books.height:
        return Verdict(is_passed=True, detail="no tickers")
    pairs = tickers.rename({"mid": "said"}).join_asof(books, on="ts", strategy="backward", tolerance=TICKER_AGE_US)
    off = pairs.select((1e4 * (pl.col("said") / pl.col("mid") - 1)).abs().alias("bps")).drop_nulls()["bps"]
    if not off.len():
        return Verdict(is_passed=True, detail="no ticker beside a book")
    median, most = float(str(off.median())), float(str(off.quantile(0.99)))
    limit = stored.config.checks.max_ticker_deviation_bps
    return Verdict(median <= limit, f"{off.len()} tickers, off by {median:.3g} bps (median), {most:.3g} (99 %)")


PLAUSIBLE: dict[Dataset, dict[str, Check]] = {
    SILVER_ORDERBOOK: {"mid_agrees_with_ticker": check_ticker},
    GOLD_BARS: {"bar_prices_consistent": check_bar_prices},
}
"""The checks of each dataset, by name; what fails one is looked at, and still used."""
