"""Window features W of a set of silver rows (catalogue 6.3 and 7.1-7.8)."""

from math import exp, fsum, log, pi, sqrt

from support.twin.names import BPS, deviation, pooled, quotient, ratio, total

EXTREMES = {"mid_min": min, "mid_max": max, "spread_bps_min": min, "spread_bps_max": max, "lag_ms_max": max}


class GridSums:
    """6.3, over the observed buckets of the window; the trade sums are None without a trades feed."""

    def __init__(self, rows, q, has_trades):
        observed = [row for row in rows if row["n_pair"] >= 1]
        r = [row["log_ret"] for row in observed]
        self.observed = bool(observed)
        self.path = fsum(abs(x) for x in r)
        self.v = fsum(x * x for x in r)
        self.v_up = fsum(x * x for x in r if x > 0)
        self.v_dn = fsum(x * x for x in r if x < 0)
        self.v4 = fsum(x**4 for x in r)
        self.b = fsum(row["ret_bv"] for row in observed)
        self.c = [fsum(row[f"ret_ac{j}"] for row in observed) for j in range(1, q)]
        self.nz = sum(abs(x) > 1e-12 for x in r)
        y = [BPS * x for x in r]
        self.ofi = regression([(row["ofi_l0"], row["ofi_abs_l0"]) for row in observed], y)
        if has_trades:
            signed = [(row["buy_qvol"] - row["sell_qvol"], row["buy_qvol"] + row["sell_qvol"]) for row in observed]
            self.trade = regression(signed, y)
            self.u = fsum(abs(row["buy_vol"] - row["sell_vol"]) for row in rows)
            self.u0 = fsum(row["buy_vol"] + row["sell_vol"] for row in rows)


def regression(x_and_gross, y):
    """Σx², Σxy, Σy² and how many x are non-zero against their gross."""
    x = [v for v, _ in x_and_gross]
    return (
        fsum(v * v for v in x),
        fsum(v * w for v, w in zip(x, y, strict=True)),
        fsum(w * w for w in y),
        sum(abs(v) > 1e-9 * gross for v, gross in x_and_gross),
    )


def slope_and_r2(sums, v):
    """Through the origin; null with fewer than five non-zero x, R² also if V ≤ 1e-24."""
    xx, xy, yy, nx = sums
    if nx < 5:
        return None, None
    return xy / xx, None if v <= 1e-24 else xy**2 / (xx * yy)


def window(rows, length_us, o, has_trades):
    """Every W a window of this length has; null shorthands as in section 7."""
    buckets = length_us // o.bucket_us
    h = length_us / 1e6
    g = GridSums(rows, o.vr_q, has_trades)
    out = {}
    _activity(out, rows, length_us, h, has_trades)
    _returns(out, rows, g, h, buckets)
    _volatility(out, rows, g, buckets, o)
    _order_flow(out, rows, g, buckets, o)
    _book_flow(out, rows, has_trades)
    _spread(out, rows, buckets, o, has_trades)
    _trades(out, rows, g, buckets, has_trades)
    return out


def _activity(out, rows, length_us, h, has_trades):
    out["n_book"] = sum(row["n_book"] for row in rows)
    out["cover"] = min(1.0, sum(row["pair_us"] for row in rows) / length_us)
    out["quote_rate"] = out["n_book"] / h
    out["n_trade"] = sum(row["n_trade"] for row in rows) if has_trades else None
    out["trade_rate"] = out["n_trade"] / h if has_trades else None
    out["quote_trade_ratio"] = quotient(out["n_book"], out["n_trade"])


def _returns(out, rows, g, h, buckets):
    out["log_ret"] = total(rows, "log_ret")
    out["velocity_bps"] = BPS * out["log_ret"] / h if g.observed else None
    with_book = [row for row in rows if row["n_book"]]
    high, low = (extreme(with_book, name) for name in ("mid_max", "mid_min"))
    out["mid_range_bps"] = BPS * log(high / low) if with_book else None
    if buckets >= 5:
        out["path_eff"] = abs(out["log_ret"]) / g.path if g.observed and g.path > 1e-12 else None
    up, dn = sum(row["n_mid_up"] for row in rows), sum(row["n_mid_dn"] for row in rows)
    out["mid_up_frac"] = quotient(up, up + dn)


def extreme(rows, name):
    """min or max of a column, null skipped."""
    values = [row[name] for row in rows if row[name] is not None]
    return EXTREMES[name](values, default=None)


def _volatility(out, rows, g, buckets, o):
    seen = g.observed
    moved = g.v > 1e-24
    tick_rv = total(rows, "tick_rv")
    out["rvol"] = sqrt(g.v) if seen else None
    out["tick_rvol"] = sqrt(tick_rv) if seen else None
    if buckets >= 5:
        out["noise_ratio"] = tick_rv / g.v if seen and moved else None
        out["rsv_up"], out["rsv_dn"] = (g.v_up, g.v_dn) if seen else (None, None)
        out["sj_share"] = (g.v_up - g.v_dn) / g.v if moved else None
        out["bpv"] = pi / 2 * g.b if seen else None
        out["jump_share"] = max(0.0, 1 - out["bpv"] / g.v) if moved and g.nz >= 5 else None
        out["rq"] = buckets / 3 * g.v4 if seen else None
    if buckets >= 10:
        enough = g.nz >= 5 and moved
        q = o.vr_q
        out["ret_ac1"] = g.c[0] / g.v if enough else None
        weighted = fsum((1 - j / q) * c for j, c in enumerate(g.c, start=1))
        out[f"vr{q}"] = 1 + 2 * weighted / g.v if enough else None


def _order_flow(out, rows, g, buckets, o):
    seen = g.observed
    flows = [total(rows, f"ofi_l{k}") for k in range(o.ofi_levels)]
    out["ofi_l0_sum"] = flows[0]
    multi = fsum(flows) if seen else None
    out["ofi_multi_sum"] = multi
    weights = [exp(-o.ofi_decay_alpha * k) for k in range(o.ofi_levels)]
    out["ofi_decay_sum"] = fsum(w * f for w, f in zip(weights, flows, strict=True)) / fsum(weights) if seen else None
    out["ofi_l0_norm"] = quotient(flows[0], pooled(rows, "n_book", "depth_l0_mean")[0])
    out["ofi_multi_norm"] = quotient(multi, pooled(rows, "n_book", "depth_lk_mean")[0])
    out["ofi_l0_ratio"] = quotient(flows[0], total(rows, "ofi_abs_l0"))
    if buckets >= 5:
        out["ofi_beta"], out["ofi_r2"] = slope_and_r2(g.ofi, g.v)


def _book_flow(out, rows, has_trades):
    flow = {name: total(rows, name) for name in ("bid_add", "bid_rem", "ask_add", "ask_rem")}
    for name, value in flow.items():
        out[f"{name}_sum"] = value
    seen = flow["bid_add"] is not None
    for side, taker in (("bid", "sell_vol"), ("ask", "buy_vol")):
        known = seen and has_trades
        out[f"{side}_cancel_sum"] = max(0.0, flow[f"{side}_rem"] - total(rows, taker)) if known else None
    out["book_flow_imb"] = ratio(flow["bid_add"] + flow["ask_rem"], flow["ask_add"] + flow["bid_rem"]) if seen else None


def _spread(out, rows, buckets, o, has_trades):
    n, n_pair = (sum(row[name] for row in rows) for name in ("n_book", "n_pair"))
    top = f"imb_top{min(5, o.max_levels)}"
    for name in ("spread_bps", "imb_l0", top, "micro_dev_bps", "depth_near"):
        mean, m2 = pooled(rows, "n_book", f"{name}_mean", f"{name}_m2")
        out[f"{name}_mean"], out[f"{name}_std"] = mean, deviation(n, mean, m2)
    out["depth_near_cv"] = quotient(out["depth_near_std"], out["depth_near_mean"])
    out["spread_bps_min"], out["spread_bps_max"] = extreme(rows, "spread_bps_min"), extreme(rows, "spread_bps_max")
    pair_us = sum(row["pair_us"] for row in rows)
    out["spread_bps_twa"] = quotient(total(rows, "tw_spread"), pair_us)
    out["imb_l0_twa"] = quotient(total(rows, "tw_imb"), pair_us)
    out["spread_tight_frac"] = quotient(sum(row["tight_us"] for row in rows), pair_us)
    out["spread_wide_frac"] = quotient(sum(row["wide_us"] for row in rows), pair_us)
    out["depth_l0_mean"] = pooled(rows, "n_book", "depth_l0_mean")[0]
    if buckets >= 5:
        out["resil_spread"] = resilience(rows, n_pair, "rs")
        out["resil_depth"] = resilience(rows, n_pair, "rd")
    lag_n = sum(row["lag_n"] for row in rows)
    mean, m2 = pooled(rows, "lag_n", "lag_ms_mean", "lag_ms_m2")
    out["lag_ms_mean"], out["lag_ms_std"] = mean, deviation(lag_n, mean, m2)
    out["lag_ms_max"] = extreme(rows, "lag_ms_max")
    out["trade_lag_ms_mean"] = (
        quotient(total(rows, "trade_lag_sum"), total(rows, "trade_lag_n")) if has_trades else None
    )


def resilience(rows, n_pair, prefix):
    """−C/M2 of the window's pairs; null below ten pairs or where x does not vary."""
    mx, m2x = pooled(rows, "n_pair", f"{prefix}_mx", f"{prefix}_m2x")
    my = pooled(rows, "n_pair", f"{prefix}_my")[0]
    if n_pair < 10 or deviation(n_pair, mx, m2x) == 0:
        return None
    with_pairs = [row for row in rows if row["n_pair"]]
    cxy = fsum(
        x
        for row in with_pairs
        for x in (
            row[f"{prefix}_cxy"],
            row["n_pair"] * (row[f"{prefix}_mx"] - mx) * (row[f"{prefix}_my"] - my),
        )
    )
    return -cxy / m2x


TRADE_WINDOW = (
    *("vol", "qvol", "signed_qvol", "tfi", "buy_count_frac", "vwap_dev_bps", "large_share", "max_share"),
    *("trade_hhi", "turnover_l0", "eff_spread_bps", "through_share", "sign_ac1", "amihud"),
)
TRADE_WINDOW_5 = ("roll_spread_bps", "trade_burst", "kyle_lambda", "kyle_r2", "vpin_time")


def _trades(out, rows, g, buckets, has_trades):
    if not has_trades:
        out.update(dict.fromkeys(TRADE_WINDOW + (TRADE_WINDOW_5 if buckets >= 5 else ())))
        return
    s = {
        name: total(rows, name) or 0
        for name in (
            *("vol", "qvol", "buy_vol", "sell_vol", "buy_qvol", "sell_qvol", "n_buy", "n_sell", "large_qvol"),
            *("vol_sq", "es_vol", "es_wsum", "through_vol", "sign_n", "sign_sum", "roll_n", "roll_sum", "dur_n"),
        )
    }
    out["vol"], out["qvol"] = float(s["vol"]), float(s["qvol"])
    out["signed_qvol"] = s["buy_qvol"] - s["sell_qvol"]
    out["tfi"] = ratio(s["buy_vol"], s["sell_vol"])
    out["buy_count_frac"] = quotient(s["n_buy"], s["n_buy"] + s["n_sell"])
    mids = [row["mid"] for row in rows if row["n_book"]]
    traded = bool(mids) and s["vol"] > 0
    out["vwap_dev_bps"] = BPS * (s["qvol"] / s["vol"] / mids[-1] - 1) if traded else None
    out["large_share"] = quotient(s["large_qvol"], s["qvol"])
    out["max_share"] = quotient(max((row["max_qvol"] for row in rows), default=0), s["qvol"])
    out["trade_hhi"] = quotient(s["vol_sq"], s["vol"] ** 2)
    out["turnover_l0"] = quotient(s["vol"], pooled(rows, "n_book", "depth_l0_mean")[0])
    out["eff_spread_bps"] = quotient(s["es_wsum"], s["es_vol"])
    out["through_share"] = quotient(s["through_vol"], s["es_vol"])
    out["sign_ac1"] = s["sign_sum"] / s["sign_n"] if s["sign_n"] >= 5 else None
    out["amihud"] = quotient(BPS * g.path, s["qvol"]) if g.observed else None
    if buckets >= 5:
        roll = s["roll_sum"] / s["roll_n"] if s["roll_n"] >= 10 else None
        out["roll_spread_bps"] = None if roll is None else 2 * BPS * sqrt(max(0.0, -roll))
        mean, m2 = pooled(rows, "dur_n", "dur_mean", "dur_m2")
        out["trade_burst"] = ratio(deviation(s["dur_n"], mean, m2), mean) if s["dur_n"] >= 5 else None
        out["kyle_lambda"], out["kyle_r2"] = slope_and_r2(g.trade, g.v)
        out["vpin_time"] = quotient(g.u, g.u0)
