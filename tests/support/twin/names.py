"""Numbers and names that many sections use (catalogue 0): R, sums, suffixes."""

import itertools
from math import fsum, sqrt

US = 1_000_000
BPS = 1e4


def us(seconds):
    """Seconds as whole microseconds."""
    return round(seconds * US)


def window_suffix(seconds):
    """`{h}s` when h is whole seconds, else `{ms}ms`, else `{us}us`."""
    length = us(seconds)
    if length % US == 0:
        return f"{length // US}s"
    return f"{length // 1000}ms" if length % 1000 == 0 else f"{length}us"


def notional_suffix(x):
    """1000 is 1k, 2 500 000 is 2500k, 1 000 000 is 1m, 750 is 750; what the text leaves open is written as an edge."""
    if x % 1e6 == 0:
        return f"{x / 1e6:g}m"
    return f"{int(x / 1e3)}k" if x % 1e3 == 0 else edge(x)


def edge(bps):
    """A band edge: %g with . written p."""
    return f"{bps:g}".replace(".", "p")


def bands(options):
    """(lower edge, upper edge, name) of every band."""
    edges = [0, *options.bands_bps]
    return [(lo, hi, f"{edge(lo)}_{edge(hi)}bps") for lo, hi in itertools.pairwise(edges)]


def ratio(x, y):
    """R(x, y) = (x − y)/(x + y), null if x + y ≤ 0 or either input is null."""
    if x is None or y is None or x + y <= 0:
        return None
    return (x - y) / (x + y)


def quotient(x, y):
    """x / y, null where either is null or the denominator is ≤ 0 (Z)."""
    return None if x is None or y is None or y <= 0 else x / y


def total(rows, name):
    """Σ of a column, null skipped; null if all are."""
    values = [row[name] for row in rows if row[name] is not None]
    return fsum(values) if values else None


def moments(values):
    """Mean and sum of squared deviations from it; null of nothing."""
    if not values:
        return None, None
    mean = fsum(values) / len(values)
    return mean, fsum((v - mean) ** 2 for v in values)


def pooled(rows, count, mean, m2=None):
    """Mean and M2 of all that the rows' (n, mean, M2) describe: what merging by Chan gives in exact arithmetic."""
    parts = [row for row in rows if row[count]]
    if not parts:
        return None, None
    centre = fsum(row[count] * row[mean] for row in parts) / sum(row[count] for row in parts)
    if m2 is None:
        return centre, None
    return centre, fsum(x for row in parts for x in (row[m2], row[count] * (row[mean] - centre) ** 2))


def deviation(n, mean, m2):
    """√(M2/(n−1)), null for n < 2; exactly 0 when ≤ 1e-7·|mean| (2.9)."""
    if n < 2:
        return None
    std = sqrt(m2 / (n - 1))
    return 0.0 if std <= 1e-7 * abs(mean) else std
