"""Identity and quality of a silver row: its key, what its bucket held and what was refused.

Accumulated by `kernels.book_pass` and `kernels.trade_pass`; declared here.
"""

from __future__ import annotations

from fluxforge_assets.features.registry import statistic
from fluxforge_assets.tables import Column, Dtype, Kind, Merge

FAMILY = "key"

KEY = (
    Column("exchange", Dtype.STRING, FAMILY, Kind.KEY, "", "never", "Exchange of the instrument"),
    Column("symbol", Dtype.STRING, FAMILY, Kind.KEY, "", "never", "Symbol of the instrument"),
    Column(
        "ts", Dtype.I64, FAMILY, Kind.KEY, "us", "never", "End of the bucket: the first instant the row may be known",
        "(floor(capture_ts / Δ) + 1) · Δ",
    ),
)  # fmt: skip
"""The key of a silver row, unique together."""


def _count(name: str, description: str, *, trades: bool = False) -> None:
    null = "no trades feed" if trades else "never"
    statistic(
        name, description, family=FAMILY, merge=Merge.SUM, unit="count", null=null, dtype=Dtype.U32, trades=trades
    )


_count("n_book", "Valid book events")
_count("n_pair", "Unbroken book pairs that close in the bucket")
_count("n_break", "Valid book events without an unbroken predecessor; n_book = n_pair + n_break")
_count("n_book_crossed", "Book events whose best bid is above the best ask")
_count("n_book_locked", "Book events whose best bid equals the best ask")
_count("n_book_onesided", "Book events with an empty side")
_count("n_book_malformed", "Book events with levels out of order or repeated")
_count("n_book_dup", "Book events that repeat their predecessor, nonce and levels")
_count("n_trade_invalid", "Trades whose price or amount is not finite and positive", trades=True)
statistic(
    "last_book_ts", "Capture time of the last valid book of the bucket", family=FAMILY, merge=Merge.LAST, unit="us",
    null="n_book = 0", dtype=Dtype.I64,
)  # fmt: skip
