import polars as pl
import pytest

S = 1_000_000
SCHEMA = {
    "exchange": pl.String,
    "symbol": pl.String,
    "ts": pl.Int64,
    "n_book": pl.UInt32,
    "n_pair": pl.UInt32,
    "mid": pl.Float64,
    "last_book_ts": pl.Int64,
    "log_ret": pl.Float64,
    "buy_vol": pl.Float64,
    "sell_vol": pl.Float64,
    "depth_lk_mean": pl.Float64,
    "ofi_l0": pl.Float64,
    "ofi_l1": pl.Float64,
    "ofi_l2": pl.Float64,
}


@pytest.fixture(scope="session")
def silver():
    """A maker of silver rows: `silver(start_us, {second: values})`; what a row does not name is null, counts 0."""

    def make(start_us, rows, exchange="demo"):
        key = {"exchange": exchange, "symbol": "AAA-USD", "n_book": 0, "n_pair": 0}
        table = [key | {"ts": start_us + second * S} | values for second, values in rows.items()]
        columns = {name: [row.get(name) for row in table] for name in SCHEMA}
        return pl.DataFrame(columns, schema=SCHEMA)

    return make
