"""The silver grid: which rows exist, their own columns, ages and rolling windows (catalogue 3, 7.8, 8)."""

from math import cos, pi, sin, sqrt

from support.twin.events import BOOK_CHANNELS, TRADE_CHANNELS, Steps, read_books, read_trades
from support.twin.names import BPS, deviation, pooled, quotient, us, window_suffix
from support.twin.pairs import TRADE_FLOWS, event_moments, pair, pair_flows, trade_flows
from support.twin.static import static_columns
from support.twin.windows import window

DAY_S = 86_400


def twin_silver(book, trades, gaps, o, watermark_us=None):
    """Silver rows (dicts) of one instrument: `book`, `trades`, `gaps` are lists of bronze rows as dicts.

    `trades` None: the trades feed is not collected. Rows are final at the watermark; all are without one.
    """
    has_trades = trades is not None
    book_steps = Steps(gaps, BOOK_CHANNELS, o.max_gap_us)
    books = read_books(book, book_steps, o.depth)
    valid = [b for b in books if b.kind == "valid"]
    trade_events = read_trades(trades or [], Steps(gaps, TRADE_CHANNELS, o.max_gap_us), book_steps, valid, o)
    by_bucket = {}
    for kind, events in (("book", books), ("trade", trade_events)):
        for event in events:
            by_bucket.setdefault(event.ts // o.bucket_us, {"book": [], "trade": []})[kind].append(event)
    name = next(((row["exchange"], row["symbol"]) for row in [*book, *(trades or [])]), None)
    rows = []
    last = {"book": None, "trade": None, "moved": None}
    for k in sorted(by_bucket):
        row = _bucket(by_bucket[k], o, has_trades, last)
        ts = (k + 1) * o.bucket_us
        if row is not None and (watermark_us is None or ts <= watermark_us):
            rows.append(
                {"exchange": name[0], "symbol": name[1], "ts": ts, **row, **_ages(ts, row, last, o, has_trades)}
            )
    _lagged_products(rows, o)
    _rolling(rows, o, has_trades)
    return rows


def _bucket(events, o, has_trades, last):
    """The columns of a bucket's own events, None where it has neither a valid book nor a valid trade (3.2)."""
    books = [b for b in events["book"] if b.kind == "valid"]
    trades = [t for t in events["trade"] if t.valid]
    if books:
        last["book"] = books[-1].ts
    for b in books:
        if b.before is None or b.bids[0][0] + b.asks[0][0] != b.before.bids[0][0] + b.before.asks[0][0]:
            last["moved"] = b.ts
    if trades:
        last["trade"] = trades[-1].ts
    if not books and not trades:
        return None
    pairs = [pair(b, o) for b in books if b.before is not None]
    row = {"n_book": len(books), "n_pair": len(pairs), "n_break": len(books) - len(pairs)}
    for kind in ("crossed", "locked", "onesided", "malformed", "dup"):
        row[f"n_book_{kind}"] = sum(b.kind == kind for b in events["book"])
    row["n_trade_invalid"] = len(events["trade"]) - len(trades) if has_trades else None
    row["last_book_ts"] = books[-1].ts if books else None
    row |= static_columns(books[-1] if books else None, o)
    row |= event_moments(books, o)
    row |= pair_flows(pairs, o)
    row |= trade_flows(trades, o) if has_trades else dict.fromkeys(TRADE_FLOWS)
    row["lag_ms"] = books[-1].lag_ms if books else None
    return row


def _ages(ts, row, last, o, has_trades):
    """8: ages and seasonality at T."""

    def age(event_ts):
        return None if event_ts is None or ts - event_ts > o.max_gap_us else ts - event_ts

    out = {
        "book_age_us": age(last["book"]),
        "trade_age_us": age(last["trade"]) if has_trades else None,
        "mid_age_us": min(ts - last["moved"], o.max_gap_us) if row["n_book"] else None,
    }
    seconds = ts / 1e6
    dow = int((ts // 1_000_000 + 259_200) % 604_800 // DAY_S)
    out["hour_utc"], out["dow_utc"], out["is_weekend"] = int(seconds % DAY_S // 3600), dow, int(dow >= 5)
    phases = {
        "tod": seconds % DAY_S / DAY_S,
        "dow": (seconds + 259_200) % 604_800 / 604_800,
        "moh": seconds % 3600 / 3600,
        "fund8h": seconds % 28_800 / 28_800,
    }
    for name, phase in phases.items():
        out[f"{name}_sin"], out[f"{name}_cos"] = sin(2 * pi * phase), cos(2 * pi * phase)
    return out


def _lagged_products(rows, o):
    """`ret_bv`, `ret_ac{j}`: r of the bucket exactly j before, 0 if it has no row or no pair."""
    returns = {row["ts"]: row["log_ret"] for row in rows if row["n_pair"]}
    for row in rows:
        r = row["log_ret"]
        before = [returns.get(row["ts"] - j * o.bucket_us, 0.0) for j in range(o.vr_q)]
        row["ret_bv"] = None if r is None else abs(r) * abs(before[1])
        for j in range(1, o.vr_q):
            row[f"ret_ac{j}"] = None if r is None else r * before[j]


def _rolling(rows, o, has_trades):
    """7: windows (T−h, T] of row time, then what compares windows (7.8)."""
    times = [row["ts"] for row in rows]
    largest = us(o.horizons[-1])
    starts = {length: 0 for h in o.horizons for length in (us(h), 2 * us(h))}
    added = []
    for i, row in enumerate(rows):
        for length in starts:
            while times[starts[length]] <= times[i] - length:
                starts[length] += 1
        windows = {h: window(rows[starts[us(h)] : i + 1], us(h), o, has_trades) for h in o.horizons}
        out = {}
        for h in o.horizons:
            length, suffix, w = us(h), window_suffix(h), windows[h]
            out |= {f"{name}_{suffix}": value for name, value in w.items()}
            earlier = [r["log_ret"] for r in rows[starts[2 * length] : starts[length]] if r["n_pair"]]
            known = w["velocity_bps"] is not None and earlier
            out[f"accel_bps_{suffix}"] = (
                (w["velocity_bps"] - BPS * sum(earlier) / (length / 1e6)) / (length / 1e6) if known else None
            )
            out[f"spread_z_{suffix}"] = _spread_z(row, rows[starts[length] : i + 1])
            if length < largest:
                out |= _ratios(w, windows[o.horizons[-1]], length, largest, suffix)
        added.append(out)
    for row, out in zip(rows, added, strict=True):
        row.update(out)


def _spread_z(row, rows):
    """(spread_bps of the row − mean)/std over h."""
    n = sum(r["n_book"] for r in rows)
    if not row["n_book"] or n < 5:
        return None
    mean, m2 = pooled(rows, "n_book", "spread_bps_mean", "spread_bps_m2")
    std = deviation(n, mean, m2)
    return (row["spread_bps"] - mean) / std if std else None


def _ratios(w, longest, length, largest, suffix):
    """Rates and volatility over h against those over the largest horizon."""
    moved = w["rvol"] is not None and longest["rvol"] ** 2 > 1e-24
    return {
        f"quote_rate_ratio_{suffix}": quotient(w["quote_rate"], longest["quote_rate"]),
        f"trade_rate_ratio_{suffix}": quotient(w["trade_rate"], longest["trade_rate"]),
        f"rvol_ratio_{suffix}": w["rvol"] / longest["rvol"] * sqrt(largest / length) if moved else None,
    }
