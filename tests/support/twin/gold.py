"""VPIN, cross-venue, integrated OFI (catalogue 11, 12, 13), from silver rows only."""

from math import fsum, log, sqrt
from statistics import median

import numpy as np

from support.twin.labels import AsOfMid
from support.twin.names import BPS, us, window_suffix

DAY_US = 86_400_000_000


def by_day(silver, o):
    """Rows by UTC day of the bucket start."""
    days = {}
    for row in silver:
        days.setdefault((row["ts"] - o.bucket_us) // DAY_US, []).append(row)
    return days


def twin_vpin(silver, o):
    """11: volume buckets anchored at each midnight, a row over several of them split by overlap."""
    days = by_day([row for row in silver if row["buy_vol"] + row["sell_vol"] > 0], o)
    imbalances = {}
    table = []
    for day in sorted(days):
        imbalances[day] = []
        if day - 1 not in days:
            continue
        size = fsum(row["buy_vol"] + row["sell_vol"] for row in days[day - 1]) / o.vpin_buckets_per_day
        end = fsum(row["buy_vol"] + row["sell_vol"] for row in days[day])
        b, done, bought = 0, 0.0, []
        for row in days[day]:
            volume = row["buy_vol"] + row["sell_vol"]
            start, done = done, done + volume
            while True:
                overlap = max(0.0, min(done, (b + 1) * size) - max(start, b * size))
                bought.append(overlap * row["buy_vol"] / volume)
                if done * (1 + 1e-9) < (b + 1) * size or (b + 1) * size > end * (1 + 1e-9):
                    break
                imbalance = abs(2 * fsum(bought) - size) / size
                imbalances[day].append(imbalance)
                last = (imbalances.get(day - 1, []) + imbalances[day])[-o.vpin_window :]
                key = {name: row[name] for name in ("exchange", "symbol", "ts")}
                vpin = fsum(last) / len(last) if len(last) >= o.vpin_min else None
                table.append(key | {"vpin_bucket": b, "bucket_vol": size, "imbalance": imbalance, "vpin": vpin})
                b, bought = b + 1, []
    return table


def twin_cross_venue(own, others, o, watermark_us):
    """12: one row per own silver row; `others` is a list of venues' rows."""
    step = o.bucket_us
    venues = [[row for row in venue if row["ts"] <= watermark_us] for venue in (own, *others)]
    mids = [AsOfMid(venue, us(o.xv_max_age)) for venue in venues]
    returns = [{row["ts"]: row["log_ret"] for row in venue if row["n_pair"] >= 1} for venue in venues]
    a = returns[0]

    def b(t):
        return fsum(r.get(t, 0.0) for r in returns[1:]) / len(returns[1:]) if returns[1:] else 0.0

    table = []
    for row in venues[0]:
        ts = row["ts"]
        out = {name: row[name] for name in ("exchange", "symbol", "ts")}
        at = [mid(ts) for mid in mids]
        live = [m for m in at if m is not None]
        rest = [m for m in at[1:] if m is not None]
        out["xv_n"] = len(live)
        out["xv_disp_bps"] = BPS * (max(live) - min(live)) / median(live) if len(live) >= 2 else None
        out["xv_dev_bps"] = BPS * log(at[0] / median(rest)) if at[0] is not None and rest else None
        for h in o.xv_horizons:
            grid = range(ts - us(h) + step, ts + 1, step)
            sums = []
            for r in returns:
                seen = [r[t] for t in grid if t in r]
                sums.append(fsum(seen) if seen else None)
            known = [s for s in sums[1:] if s is not None]
            gap = fsum(known) / len(known) - sums[0] if known and sums[0] is not None else None
            out[f"xv_ret_gap_{window_suffix(h)}"] = gap
        grid = range(ts - us(o.xv_corr_horizon) + step, ts + 1, step)
        suffix = window_suffix(o.xv_corr_horizon)
        mine, theirs = [a.get(t, 0.0) for t in grid], [b(t) for t in grid]
        mine_before, theirs_before = [a.get(t - step, 0.0) for t in grid], [b(t - step) for t in grid]
        out[f"xv_lead_corr_{suffix}"] = _follows(mine, theirs_before)
        out[f"xv_lag_corr_{suffix}"] = _follows(theirs, mine_before)
        table.append(out)
    return table


def _follows(follower, leader):
    """Uncentred correlation; null with fewer than five non-zero leads or a follower that did not move."""
    squares = fsum(x * x for x in follower)
    if sum(abs(y) > 1e-12 for y in leader) < 5 or squares <= 1e-24:
        return None
    return fsum(x * y for x, y in zip(follower, leader, strict=True)) / sqrt(squares * fsum(y * y for y in leader))


def twin_ofi_integrated(silver, o):
    """13: the first principal component of the days before, applied to each day."""
    days = by_day(silver, o)
    table = []
    for day in sorted(days):
        training = [
            _normalised(row, o) for d in range(day - o.pca_days, day) for row in days.get(d, []) if row["n_pair"] >= 1
        ]
        fitted = _first_component(training) if len(training) >= o.pca_min_rows else None
        for row in days[day]:
            out = {name: row[name] for name in ("exchange", "symbol", "ts")} | {"ofi_int": None, "ofi_int_share": None}
            if fitted is not None:
                weights, out["ofi_int_share"] = fitted
                if row["n_pair"] >= 1:
                    out["ofi_int"] = fsum(w * v for w, v in zip(weights, _normalised(row, o), strict=True))
            table.append(out)
    return table


def _normalised(row, o):
    return [row[f"ofi_l{k}"] / row["depth_lk_mean"] for k in range(o.ofi_levels)]


def _first_component(vectors):
    """Weights (Σ|w| = 1, Σw ≥ 0) and share of variance of the largest eigenvalue; None without variance."""
    covariance = np.atleast_2d(np.cov(np.array(vectors), rowvar=False))
    if not np.trace(covariance) > 0:
        return None
    values, columns = np.linalg.eigh(covariance)
    w = columns[:, -1] if columns[:, -1].sum() >= 0 else -columns[:, -1]
    return (w / np.abs(w).sum()).tolist(), float(values[-1] / np.trace(covariance))
