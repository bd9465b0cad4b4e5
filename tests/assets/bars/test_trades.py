"""Bars made from trades alone, against polars' grouping of the same trades."""

import random

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from fluxforge_assets.bars import trade_bar_columns, trade_bars
from fluxforge_collector.errors import DataError

START_US = 1_760_000_000_000_000
VALUES = ["open", "high", "low", "close", "volume", "value", "buy_volume", "count"]


def trades(rows, *, seed=None):
    """Random trades, some on edges of bars, some at equal times; sizes add up exactly."""
    seed = random.randrange(2**32) if seed is None else seed
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    ts = START_US + np.sort(rng.integers(0, rows // 4 + 1, rows)) * 250_000
    return pl.DataFrame(
        {
            "exchange": "venue",
            "symbol": "AAA/USD",
            "capture_ts": ts,
            "seq": np.arange(rows),
            "side": rng.choice(["buy", "sell"], rows),
            "price": rng.integers(1, 4096, rows) / 8,
            "amount": rng.integers(1, 4096, rows) / 8,
        }
    )


def grouped(rows, seconds):
    """The same bars by `group_by_dynamic`."""
    price, amount = pl.col("price"), pl.col("amount")
    return (
        rows.with_columns(at=pl.from_epoch("capture_ts", time_unit="us"))
        .group_by_dynamic("at", every=f"{round(seconds * 1e6)}us")
        .agg(
            open=price.first(), high=price.max(), low=price.min(), close=price.last(), volume=amount.sum(),
            value=(price * amount).sum(), buy_volume=amount.filter(pl.col("side") == "buy").sum(), count=pl.len(),
        )
        .select((pl.col("at").dt.epoch("us") + round(seconds * 1e6)).alias("ts"), *VALUES)
        .cast({"count": pl.UInt32})
    )  # fmt: skip


@pytest.mark.parametrize("seconds", [0.5, 1.0, 5.0, 60.0, 14_400.0])
def test_bars_are_those_of_polars(seconds):
    rows = trades(20_000)
    made = trade_bars(rows, (seconds,))
    assert made.columns == [column.name for column in trade_bar_columns()]
    assert (made["bar_us"] == round(seconds * 1e6)).all()
    assert_frame_equal(made.select("ts", *VALUES), grouped(rows, seconds), check_exact=True)


def test_rows_out_of_order_and_the_form_of_the_input_change_nothing():
    rows = trades(2_000)
    wanted = trade_bars(rows, (1, 5))
    assert_frame_equal(trade_bars(rows.sample(fraction=1, shuffle=True, seed=1), (1, 5)), wanted)
    assert_frame_equal(trade_bars(rows.to_arrow(), (1, 5)), wanted)


def test_a_trade_without_a_price_or_amount_is_left_out():
    rows = trades(4, seed=1).with_columns(
        price=pl.Series([1.0, None, -2.0, 4.0]), amount=pl.Series([1.0, 1.0, 1.0, 0.0])
    )
    (bar,) = trade_bars(rows, (60,)).iter_rows(named=True)
    assert (bar["open"], bar["close"], bar["volume"], bar["count"]) == (1.0, 1.0, 1.0, 1)


def test_no_trades_make_no_bars():
    assert trade_bars(trades(4, seed=1).clear(), (1,)).is_empty()
    assert trade_bars(trades(4, seed=1).with_columns(amount=0.0), (1,)).is_empty()


@pytest.mark.parametrize("seconds", [0, -1, 1e-7])
def test_a_duration_which_is_no_whole_number_of_microseconds_is_refused(seconds):
    with pytest.raises(DataError, match="a bar of"):
        trade_bars(trades(4, seed=1), (seconds,))


def test_two_instruments_are_refused():
    rows = trades(4, seed=1)
    with pytest.raises(DataError, match="2 values of symbol"):
        trade_bars(rows.with_columns(symbol=pl.Series(["AAA/USD", "BBB/USD"] * 2)), (1,))
