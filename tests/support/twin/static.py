"""Static features of one valid book (catalogue 4, families A-F)."""

from math import exp, fsum, log

from support.twin.events import Book
from support.twin.names import BPS, bands, edge, notional_suffix, ratio

ANY_BOOK = Book(0, None, None, [(1.0, 1.0)], [(2.0, 1.0)])
"""Static columns have the same names for every book."""


def side_total(side, m):
    """Q_m: the best m levels added together, those that exist."""
    return fsum(size for _, size in side[:m])


def distances(book, side):
    """d of every kept level, bps, positive."""
    mid = book.mid
    return [BPS * abs(mid - price) / mid for price, _ in side]


def spread_bps(book):
    return BPS * (book.asks[0][0] - book.bids[0][0]) / book.mid


def imbalance_l0(book):
    return ratio(book.bids[0][1], book.asks[0][1])


def imbalance_top(book, m):
    return ratio(side_total(book.bids, m), side_total(book.asks, m))


def microprice(book):
    (pb, qb), (pa, qa) = book.bids[0], book.asks[0]
    return (pb * qa + pa * qb) / (qb + qa)


def micro_dev_bps(book):
    return BPS * (microprice(book) - book.mid) / book.mid


def band_depth(side, d, lo, hi):
    """Σ q with d in [lo, hi), edges by 2.9."""
    return fsum(q for (_, q), x in zip(side, d, strict=True) if x >= lo - 1e-6 and x < hi - 1e-6)


def depth_near(book, options):
    """Bid + ask depth of the first band."""
    hi = options.bands_bps[0]
    return sum(band_depth(side, distances(book, side), 0, hi) for side in (book.bids, book.asks))


def depth_lk(book, k):
    """(Q^b_K + Q^a_K)/(2K), missing levels 0."""
    return (side_total(book.bids, k) + side_total(book.asks, k)) / (2 * k)


def static_columns(book, o):
    """Every column of 4.1 to 4.6; all null without a book."""
    if book is None:
        return dict.fromkeys(static_columns(ANY_BOOK, o))
    out = {}
    _prices(out, book, o)
    _fair_values(out, book, o)
    _levels(out, book, o)
    _bands(out, book, o)
    _shape(out, book, o)
    _pressure(out, book, o)
    return out


def _prices(out, book, o):
    for i in range(o.max_levels):
        for side, levels in (("bid", book.bids), ("ask", book.asks)):
            out[f"{side}_price_l{i}"] = levels[i][0] if i < len(levels) else None
            out[f"{side}_size_l{i}"] = levels[i][1] if i < len(levels) else None
    out["bid_levels"], out["ask_levels"] = len(book.bids), len(book.asks)


def _fair_values(out, book, o):
    mid = book.mid
    out["mid"] = mid
    out["spread"] = book.asks[0][0] - book.bids[0][0]
    out["spread_bps"] = spread_bps(book)
    out["spread_ticks"] = None if o.tick_size is None else out["spread"] / o.tick_size
    out["microprice"] = microprice(book)
    out["micro_dev_bps"] = micro_dev_bps(book)
    for w in o.wmid_levels:
        if w > o.max_levels:
            continue
        n = min(w, len(book.bids), len(book.asks))
        pairs = list(zip(book.bids[:n], book.asks[:n], strict=True))
        crossed = fsum(x for (pb, qb), (pa, qa) in pairs for x in (pb * qa, pa * qb))
        weight = fsum(x for (_, qb), (_, qa) in pairs for x in (qb, qa))
        out[f"wmid_top{w}_dev_bps"] = BPS * (crossed / weight - mid) / mid


def _levels(out, book, o):
    n = o.max_levels
    for i in range(n):
        both = i < len(book.bids) and i < len(book.asks)
        out[f"imb_l{i}"] = ratio(book.bids[i][1], book.asks[i][1]) if both else None
    for m in range(2, n + 1):
        out[f"bid_depth_top{m}"] = side_total(book.bids, m)
        out[f"ask_depth_top{m}"] = side_total(book.asks, m)
        out[f"imb_top{m}"] = imbalance_top(book, m)
    out["bid_depth_quote"] = fsum(p * q for p, q in book.bids[:n])
    out["ask_depth_quote"] = fsum(p * q for p, q in book.asks[:n])


def _bands(out, book, o):
    for side, levels in (("bid", book.bids), ("ask", book.asks)):
        d = distances(book, levels)
        truncated = len(levels) == o.depth
        out[f"{side}_reach_bps"] = d[-1]
        for lo, hi, name in bands(o):
            beyond = truncated and d[-1] < lo - 1e-6
            out[f"{side}_depth_{name}"] = None if beyond else band_depth(levels, d, lo, hi)
        for hi in o.bands_bps[1:]:
            out[f"{side}_depth_cum_{edge(hi)}bps"] = fsum(
                q for (_, q), x in zip(levels, d, strict=True) if x < hi - 1e-6
            )
    for _, _, name in bands(o):
        out[f"imb_{name}"] = ratio(out[f"bid_depth_{name}"], out[f"ask_depth_{name}"])
    for hi in o.bands_bps[1:]:
        name = f"cum_{edge(hi)}bps"
        out[f"imb_{name}"] = ratio(out[f"bid_depth_{name}"], out[f"ask_depth_{name}"])


def _shape(out, book, o):
    mid = book.mid
    for side, levels in (("bid", book.bids[: o.max_levels]), ("ask", book.asks[: o.max_levels])):
        d = distances(book, levels)
        n = len(levels)
        whole = fsum(q for _, q in levels)
        share = [q / whole for _, q in levels]
        cumulative = [fsum(q for _, q in levels[: i + 1]) for i in range(n)]
        out[f"{side}_slope"] = out[f"{side}_convexity"] = None
        if n >= 3:
            d_mean, c_mean = fsum(d) / n, fsum(cumulative) / n
            sxy = fsum((x - d_mean) * (y - c_mean) for x, y in zip(d, cumulative, strict=True))
            out[f"{side}_slope"] = sxy / fsum((x - d_mean) ** 2 for x in d)
            x = [(v - d[0]) / (d[-1] - d[0]) for v in d]
            y = [c / whole for c in cumulative]
            area = fsum((x[i + 1] - x[i]) * (y[i + 1] + y[i]) / 2 for i in range(n - 1))
            out[f"{side}_convexity"] = area - 0.5
        out[f"{side}_hhi"] = fsum(s * s for s in share)
        out[f"{side}_entropy"] = -fsum(s * log(s) for s in share) / log(n) if n >= 2 else None
        out[f"{side}_wdist_bps"] = fsum(s * x for s, x in zip(share, d, strict=True))
        out[f"{side}_gap_bps"] = d[1] - d[0] if n >= 2 else None
    out["slope_skew"] = ratio(out["bid_slope"], out["ask_slope"])
    out["wdist_skew"] = ratio(out["ask_wdist_bps"], out["bid_wdist_bps"])
    n = min(len(book.bids), len(book.asks), o.max_levels)
    both = book.bids[:n] + book.asks[:n]
    gravity = fsum(p * q for p, q in both) / fsum(q for _, q in both)
    out["cog_dev_bps"] = BPS * (gravity - mid) / mid


def _pressure(out, book, o):
    decayed, inverse = {}, {}
    for side, levels in (("bid", book.bids), ("ask", book.asks)):
        d = distances(book, levels)
        decayed[side] = fsum(q * exp(-x / o.decay_bps) for (_, q), x in zip(levels, d, strict=True))
        inverse[side] = fsum(q / x for (_, q), x in zip(levels, d, strict=True))
        out[f"{side}_depth_decay"] = decayed[side]
    out["imb_decay"] = ratio(decayed["bid"], decayed["ask"])
    out["imb_invdist"] = ratio(inverse["bid"], inverse["ask"])
    mid = book.mid
    for x in o.impact_notionals:
        name = notional_suffix(x)
        buy, sell = _average_price(book.asks, x), _average_price(book.bids, x)
        out[f"buy_impact_bps_{name}"] = None if buy is None else BPS * (buy - mid) / mid
        out[f"sell_impact_bps_{name}"] = None if sell is None else BPS * (mid - sell) / mid
        known = buy is not None and sell is not None
        out[f"impact_skew_bps_{name}"] = (
            out[f"buy_impact_bps_{name}"] - out[f"sell_impact_bps_{name}"] if known else None
        )


def _average_price(side, notional):
    """Walk the side until the notional is spent; null if it holds less."""
    left, base = notional, []
    for price, size in side:
        taken = min(left, price * size)
        base.append(taken / price)
        left -= taken
        if left <= 1e-9 * notional:
            return notional / fsum(base)
    return None
