"""Labels (catalogue 10): every column looks ahead."""

from bisect import bisect_right
from math import fsum, log, sqrt

from support.twin.names import BPS, us, window_suffix


class AsOfMid:
    """10.1: the mid of the last silver row with ts ≤ t and n_book ≥ 1, null if older than `max_age_us`."""

    def __init__(self, silver, max_age_us):
        self.live = [row for row in silver if row["n_book"] >= 1]
        self.times = [row["ts"] for row in self.live]
        self.max_age_us = max_age_us

    def __call__(self, t):
        at = bisect_right(self.times, t)
        if not at or t - self.live[at - 1]["last_book_ts"] > self.max_age_us:
            return None
        return self.live[at - 1]["mid"]


def twin_labels(silver, o, watermark_us=None):
    """One row per silver row."""
    if not silver:
        return []
    watermark = silver[-1]["ts"] if watermark_us is None else watermark_us
    as_of = AsOfMid(silver, o.max_gap_us)

    def mid(t):
        return as_of(t) if t <= watermark else None

    lag = us(o.label_lag)
    longest = max(
        lag + max((us(h) for h in o.label_horizons), default=0), max((us(h) for h in o.rs_horizons), default=0)
    )
    times = [row["ts"] for row in silver]
    labels = []
    for row in silver:
        ts = row["ts"]
        out = {"exchange": row["exchange"], "symbol": row["symbol"], "ts": ts}
        for h in o.label_horizons:
            start, end = ts + lag, ts + lag + us(h)
            first, last = mid(start), mid(end)
            ret = None if first is None or last is None else log(last / first)
            out[f"fwd_ret_{window_suffix(h)}"] = ret
            if us(h) >= 5 * o.bucket_us:
                ahead = silver[bisect_right(times, start) : bisect_right(times, end)]
                squares = [r["log_ret"] ** 2 for r in ahead if r["n_pair"] >= 1]
                known = ret is not None and squares
                out[f"fwd_rvol_{window_suffix(h)}"] = sqrt(fsum(squares)) if known else None
        for tau in o.rs_horizons:
            out[f"fwd_realized_spread_bps_{window_suffix(tau)}"] = _realised(row, mid(ts), mid(ts + us(tau)))
        out["label_end_ts"] = ts + longest
        labels.append(out)
    return labels


def _realised(row, now, later):
    if now is None or later is None or row["buy_vol"] is None or row["buy_vol"] + row["sell_vol"] <= 0:
        return None
    paid = (row["buy_qvol"] - row["sell_qvol"]) - later * (row["buy_vol"] - row["sell_vol"])
    return 2 * BPS * paid / (now * (row["buy_vol"] + row["sell_vol"]))
