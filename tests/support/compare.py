"""Section 18 of the catalogue: when two tables are the same."""

import re
from math import isfinite

RETURNS = re.compile(r"^(log_ret|.*rvol|fwd_ret|fwd_rvol|xv_ret_gap)")
DEVIATIONS = re.compile(r"^(.*_std|.*_cv|spread_z|trade_burst)(_|$)")
RATIOS = re.compile(
    r"^(resil_.*|.*_r2|vr\d+|ret_ac1|jump_share|noise_ratio|sj_share|path_eff|rvol_ratio|xv_.*_corr|ofi_int.*)(_|$)"
)
STORED = re.compile(r"^(.*)_(m2|m2x|cxy)$")
COUNTS = {"lag_n": "lag_n", "lag_ms": "lag_n", "rs": "n_pair", "rd": "n_pair", "dur": "dur_n"}


def stored_scale(name, rows):
    """n·(mean² + 1) of every row, for a stored `_m2`, `_m2x`, `_cxy`."""
    quantity, statistic = STORED.match(name).groups()
    count = COUNTS.get(quantity, "n_book")
    means = [f"{quantity}_mx", f"{quantity}_my"] if statistic == "cxy" else [f"{quantity}_mx"]
    if statistic == "m2":
        means = [f"{quantity}_mean"]
    return [
        (row[count] or 0) * (max(abs(row.get(m) or 0.0) for m in means) ** 2 + 1) if count in row else 1.0
        for row in rows
    ]


def allowed(name, rows, values):
    """For every row, the allowed difference as a function of the two values (relative, absolute)."""
    known = [abs(v) for v in values if v is not None]
    c = max(known, default=0.0)
    if STORED.match(name):
        return [(1e-9, 1e-12 * scale) for scale in stored_scale(name, rows)]
    if RATIOS.match(name):
        pair = (1e-7, 1e-8)
    elif DEVIATIONS.match(name):
        pair = (1e-6, 1e-7 * c)
    else:
        pair = (1e-9, 1e-9 * c + (1e-12 if RETURNS.match(name) else 0.0))
    return [pair] * len(values)


def differences(reference, found, key=("exchange", "symbol", "ts")):
    """What section 18 does not allow, as lines; both tables are lists of dicts. Empty: the same."""
    keys = [[tuple(row[k] for k in key) for row in rows] for rows in (reference, found)]
    if keys[0] != keys[1]:
        only = [sorted(set(keys[i]) - set(keys[1 - i]))[:5] for i in (0, 1)]
        return [f"keys differ ({len(keys[0])} and {len(keys[1])}): only in reference {only[0]}, only found {only[1]}"]
    if not reference:
        return []
    lines = []
    names = list(reference[0])
    if missing := [n for n in names if n not in found[0]]:
        lines.append(f"columns missing ({len(missing)}): {missing[:8]}")
    if extra := [n for n in found[0] if n not in names]:
        lines.append(f"columns not in the reference ({len(extra)}): {extra[:8]}")
    for name in names:
        if name in found[0]:
            lines += _column(name, reference, found, keys[0])
    return lines


def _column(name, reference, found, keys):
    """The first difference of a column, with how many there are."""
    values = [row[name] for row in reference]
    if isinstance(next((v for v in values if v is not None), None), str):
        bad = [i for i, row in enumerate(found) if row[name] != values[i]]
    else:
        limits = allowed(name, reference, values)
        bad = [i for i, row in enumerate(found) if not _same(values[i], row[name], limits[i])]
    if not bad:
        return []
    i = bad[0]
    return [f"{name}: {len(bad)} of {len(values)}; {keys[i]}: reference {values[i]!r}, found {found[i][name]!r}"]


def _same(a, b, limit):
    if a is None or b is None:
        return a is None and b is None
    if isinstance(a, int) and isinstance(b, int):
        return a == b
    if not (isfinite(a) and isfinite(b)):
        return False
    relative, absolute = limit
    return abs(a - b) <= relative * max(abs(a), abs(b)) + absolute
