"""What the fields of records may hold, as hypothesis strategies."""

from hypothesis import strategies as st

from fluxforge_collector.records import GapReason

INT = st.integers(-(2**63), 2**63 - 1)
TIME = st.integers(0, 2**52)
FLOAT = st.floats(allow_nan=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAME = st.sampled_from(["BTC/USDT", "ETH/USDT:USDT", "../../etc/x", "Ω|x", "A"])
LEVELS = st.lists(st.tuples(FLOAT, FLOAT), max_size=5).map(lambda levels: [v for level in levels for v in level])
EXCHANGE = st.sampled_from(["binanceus", "okx"])


def maybe(values):
    return st.none() | values


FIELD = {
    "exchange": EXCHANGE,
    "symbol": NAME,
    "bids": LEVELS,
    "asks": LEVELS,
    "collected_ms": INT,
    "capture_us": TIME,
    "gap_start_us": TIME,
    "gap_end_us": TIME,
    "timestamp_ms": maybe(INT),
    "nonce": maybe(INT),
    "lost": maybe(INT),
    "seq": INT,
    "conn": st.integers(-(2**31), 2**31 - 1),
    "backfilled": st.booleans(),
    "side": maybe(st.sampled_from(["buy", "sell"])),
    "channel": st.sampled_from(["all", "trades"]),
    "reason": st.sampled_from(list(GapReason)),
    "price": FLOAT,
    "amount": FLOAT,
    **dict.fromkeys(("trade_id", "info_json", "detail"), maybe(TEXT)),
}
