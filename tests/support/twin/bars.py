"""Bars (catalogue 9), from silver rows only."""

from support.twin.names import quotient, total, us
from support.twin.windows import GridSums, window


def twin_bars(silver, o, *, has_trades, watermark_us=None):
    """Bars of all durations whose end is at or before the watermark (without one: the last silver `ts`)."""
    if not silver:
        return []
    watermark = silver[-1]["ts"] if watermark_us is None else watermark_us
    bars = []
    for duration in o.bar_durations:
        length = us(duration)
        by_end = {}
        for row in silver:
            by_end.setdefault(-(-row["ts"] // length) * length, []).append(row)
        bars += [_bar(end, rows, length, o, has_trades) for end, rows in by_end.items() if end <= watermark]
    return bars


def _bar(end, rows, length, o, has_trades):
    first = rows[0]
    out = {"exchange": first["exchange"], "symbol": first["symbol"], "ts": end, "bar_us": length, "n_rows": len(rows)}
    out["n_pair"], out["n_break"] = total(rows, "n_pair"), total(rows, "n_break")
    out["n_pair"], out["n_break"] = int(out["n_pair"]), int(out["n_break"])
    live = [row for row in rows if row["n_book"] >= 1]
    out["mid_open"] = live[0]["mid_first"] if live else None
    out["mid_high"] = max((row["mid_max"] for row in live), default=None)
    out["mid_low"] = min((row["mid_min"] for row in live), default=None)
    out["mid_close"] = live[-1]["mid"] if live else None
    traded = [row for row in rows if row["n_trade"]]
    out["trade_open"] = traded[0]["trade_first"] if traded else None
    out["trade_high"] = max((row["trade_high"] for row in traded), default=None)
    out["trade_low"] = min((row["trade_low"] for row in traded), default=None)
    out["trade_close"] = traded[-1]["trade_last"] if traded else None
    out["vwap"] = quotient(total(rows, "qvol"), total(rows, "vol"))
    for name in ("buy_vol", "sell_vol", "buy_qvol", "sell_qvol", "n_buy", "n_sell"):
        out[name] = total(rows, name)
    sums = GridSums(rows, o.vr_q, has_trades)
    out["rv"] = sums.v if sums.observed else None
    for k in range(o.ofi_levels):
        out[f"ofi_l{k}_sum"] = total(rows, f"ofi_l{k}")
    for name in ("spread_bps", "microprice", "imb_l0", f"imb_top{min(5, o.max_levels)}"):
        out[f"{name}_close"] = live[-1][name] if live else None
    return out | window(rows, length, o, has_trades)
