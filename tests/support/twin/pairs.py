"""Book pairs and the stored statistics of a bucket (catalogue 5 and 6.1, families G, H, I)."""

from math import fsum, log

from support.twin import static
from support.twin.names import moments


def flow(before, after, i, better):
    """f at rank i: +q_c at a better price, −q_p at a worse one, the change in size at an equal one.

    A missing level is an empty queue at the worst price.
    """
    p = before[i] if i < len(before) else None
    c = after[i] if i < len(after) else None
    if p is None and c is None:
        return 0.0
    if p is None:
        return c[1]
    if c is None:
        return -p[1]
    if c[0] == p[0]:
        return c[1] - p[1]
    return c[1] if better(c[0], p[0]) else -p[1]


def add_remove(before, after, depth, better):
    """Price-matched size added and removed at the visibility floor or better."""
    worst = [side[-1][0] for side in (before, after) if len(side) == depth]
    floor = None
    for price in worst:
        if floor is None or better(price, floor):
            floor = price
    old, new = dict(before), dict(after)
    added, removed = [], []
    for price in {**old, **new}:
        if floor is not None and better(floor, price):
            continue
        change = new.get(price, 0.0) - old.get(price, 0.0)
        (added if change > 0 else removed).append(abs(change))
    return fsum(added), fsum(removed)


def higher(x, y):
    return x > y


def lower(x, y):
    return x < y


def pair(c, o):
    """Everything section 5 defines for the pair that closes at c, computed once."""
    p = c.before
    bid = [flow(p.bids, c.bids, i, higher) for i in range(o.ofi_levels)]
    ask = [flow(p.asks, c.asks, i, lower) for i in range(o.ofi_levels)]
    bid_add, bid_rem = add_remove(p.bids, c.bids, o.depth, higher)
    ask_add, ask_rem = add_remove(p.asks, c.asks, o.depth, lower)
    depths = [static.side_total(b.bids, o.max_levels) + static.side_total(b.asks, o.max_levels) for b in (p, c)]
    now, then = c.bids[0][0] + c.asks[0][0], p.bids[0][0] + p.asks[0][0]
    return {
        "dt": c.ts - p.ts,
        "r": log(c.mid / p.mid),
        "direction": (now > then) - (now < then),
        "bid": bid,
        "ask": ask,
        "e": [b - a for b, a in zip(bid, ask, strict=True)],
        "bid_add": bid_add,
        "bid_rem": bid_rem,
        "ask_add": ask_add,
        "ask_rem": ask_rem,
        "x1": static.spread_bps(p),
        "y1": static.spread_bps(c) - static.spread_bps(p),
        "x2": depths[0],
        "y2": depths[1] - depths[0],
        "imb": static.imbalance_l0(p),
    }


def event_moments(books, o):
    """Family G over the bucket's valid book events."""
    top = f"imb_top{min(5, o.max_levels)}"
    out = {}
    mids = [b.mid for b in books]
    spreads = [static.spread_bps(b) for b in books]
    out["mid_first"] = mids[0] if mids else None
    out["mid_min"], out["mid_max"] = min(mids, default=None), max(mids, default=None)
    out["spread_bps_min"], out["spread_bps_max"] = min(spreads, default=None), max(spreads, default=None)
    averaged = {
        "spread_bps": spreads,
        "imb_l0": [static.imbalance_l0(b) for b in books],
        top: [static.imbalance_top(b, min(5, o.max_levels)) for b in books],
        "micro_dev_bps": [static.micro_dev_bps(b) for b in books],
        "depth_near": [static.depth_near(b, o) for b in books],
    }
    for name, values in averaged.items():
        out[f"{name}_mean"], out[f"{name}_m2"] = moments(values)
    out["depth_l0_mean"] = moments([(b.bids[0][1] + b.asks[0][1]) / 2 for b in books])[0]
    out["depth_lk_mean"] = moments([static.depth_lk(b, o.ofi_levels) for b in books])[0]
    lags = [b.lag_ms for b in books if b.lag_ms is not None]
    out["lag_n"] = len(lags)
    out["lag_ms_mean"], out["lag_ms_m2"] = moments(lags)
    out["lag_ms_min"], out["lag_ms_max"] = min(lags, default=None), max(lags, default=None)
    return out


def pair_flows(pairs, o):
    """Family H over the pairs that close in the bucket; `ret_bv` and `ret_ac{j}` need the rows before it."""
    some = bool(pairs)

    def summed(values):
        return fsum(values) if some else None

    out = {
        "pair_us": sum(p["dt"] for p in pairs),
        "log_ret": summed(p["r"] for p in pairs),
        "tick_rv": summed(p["r"] ** 2 for p in pairs),
        "n_mid_up": sum(p["direction"] > 0 for p in pairs),
        "n_mid_dn": sum(p["direction"] < 0 for p in pairs),
        "of_bid_l0": summed(p["bid"][0] for p in pairs),
        "of_ask_l0": summed(p["ask"][0] for p in pairs),
        "ofi_abs_l0": summed(abs(p["e"][0]) for p in pairs),
        "tw_spread": fsum(p["dt"] * p["x1"] for p in pairs),
        "tw_imb": fsum(p["dt"] * p["imb"] for p in pairs),
        "tight_us": sum(p["dt"] for p in pairs if p["x1"] <= o.tight_spread_bps + 1e-6),
        "wide_us": sum(p["dt"] for p in pairs if p["x1"] >= o.wide_spread_bps - 1e-6),
    }
    for k in range(o.ofi_levels):
        out[f"ofi_l{k}"] = summed(p["e"][k] for p in pairs)
    for name in ("bid_add", "bid_rem", "ask_add", "ask_rem"):
        out[name] = summed(p[name] for p in pairs)
    for prefix, x, y in (("rs", "x1", "y1"), ("rd", "x2", "y2")):
        mx, m2x = moments([p[x] for p in pairs])
        my = moments([p[y] for p in pairs])[0]
        out[f"{prefix}_mx"], out[f"{prefix}_m2x"], out[f"{prefix}_my"] = mx, m2x, my
        out[f"{prefix}_cxy"] = summed((p[x] - mx) * (p[y] - my) for p in pairs)
    return out


TRADE_FLOWS = (
    *("n_trade", "n_buy", "n_sell", "n_unsigned", "n_inferred", "vol", "buy_vol", "sell_vol"),
    *("qvol", "buy_qvol", "sell_qvol", "vol_sq", "max_qvol", "large_qvol"),
    *("trade_first", "trade_high", "trade_low", "trade_last", "es_n", "es_vol", "es_wsum", "through_n", "through_vol"),
    *("sign_n", "sign_sum", "roll_n", "roll_sum", "dur_n", "dur_mean", "dur_m2", "trade_lag_n", "trade_lag_sum"),
)


def trade_flows(trades, o):
    """Family I over the bucket's valid trades."""
    value = {t: t.price * t.amount for t in trades}
    buys, sells = [t for t in trades if t.sign > 0], [t for t in trades if t.sign < 0]
    out = {
        "n_trade": len(trades),
        "n_buy": len(buys),
        "n_sell": len(sells),
        "n_unsigned": sum(t.sign == 0 for t in trades),
        "n_inferred": sum(t.inferred for t in trades),
    }
    for prefix, some in (("", trades), ("buy_", buys), ("sell_", sells)):
        out[f"{prefix}vol"] = fsum(t.amount for t in some)
        out[f"{prefix}qvol"] = fsum(value[t] for t in some)
    out["vol_sq"] = fsum(t.amount**2 for t in trades)
    out["max_qvol"] = max(value.values(), default=0.0)
    out["large_qvol"] = fsum(v for v in value.values() if v >= o.large_trade_notional * (1 - 1e-9))
    prices = [t.price for t in trades]
    out["trade_first"], out["trade_last"] = (prices[0], prices[-1]) if prices else (None, None)
    out["trade_high"], out["trade_low"] = max(prices, default=None), min(prices, default=None)
    spread = [t for t in trades if t.effective_spread is not None]
    out["es_n"] = len(spread)
    out["es_vol"] = fsum(t.amount for t in spread)
    out["es_wsum"] = fsum(t.amount * t.effective_spread for t in spread)
    out["through_n"] = sum(t.through for t in spread)
    out["through_vol"] = fsum(t.amount for t in spread if t.through)
    pairs = [t for t in trades if t.before is not None]
    signs = [t.before.sign * t.sign for t in pairs if t.before.sign and t.sign]
    out["sign_n"], out["sign_sum"] = len(signs), sum(signs)
    rolls = [t.log_change * t.before.log_change for t in pairs if t.before.before is not None]
    out["roll_n"], out["roll_sum"] = len(rolls), fsum(rolls)
    durations = [(t.ts - t.before.ts) / 1e6 for t in pairs]
    out["dur_n"] = len(durations)
    out["dur_mean"], out["dur_m2"] = moments(durations)
    lags = [t.lag_ms for t in trades if t.lag_ms is not None]
    out["trade_lag_n"], out["trade_lag_sum"] = len(lags), fsum(lags)
    return out
