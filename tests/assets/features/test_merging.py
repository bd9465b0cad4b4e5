"""Merges of windows: against the obvious way, in any chunks, put together in any order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluxforge_assets.features.grouping import Grouped, Grouping
from fluxforge_assets.features.merging import Rolling, parts_of

LENGTHS = (1, 3, 8, 13)


@st.composite
def sparse(draw):
    """Ascending buckets with one value and one count each; a null value has count 0."""
    buckets = np.array(sorted(draw(st.sets(st.integers(0, 60), min_size=1, max_size=40))))
    value = st.floats(-1e3, 1e3, allow_subnormal=False)
    counts = np.array(draw(st.lists(st.integers(0, 5), min_size=len(buckets), max_size=len(buckets))), float)
    values = np.array(draw(st.lists(value, min_size=len(buckets), max_size=len(buckets))))
    return buckets, np.where(counts > 0, values, np.nan), counts


def rolled(buckets, wanted, call):
    """Merged values at the wanted buckets, by window length."""
    reach = max(LENGTHS) - 1
    first = wanted[0] - reach
    inside = (buckets >= first) & (buckets <= wanted[-1])
    merger = Rolling(buckets[inside] - first, wanted - first, int(wanted[-1] - first) + 1, LENGTHS)
    return {length: merger.at_rows(merged, 0) for length, merged in call(merger, inside).items()}


KINDS = {
    "sum": (lambda m, v: m.add(v), np.sum, 0.0),
    "least": (lambda m, v: m.minimum(v, np.inf), np.min, np.inf),
    "most": (lambda m, v: m.maximum(v, -np.inf), np.max, -np.inf),
    "first": (lambda m, v: m.first(v), lambda x: x[0], np.nan),
    "last": (lambda m, v: m.last(v), lambda x: x[-1], np.nan),
}


@pytest.mark.parametrize("kind", KINDS)
@given(data=sparse())
def test_rolling_is_the_obvious_window(kind, data):
    merge, obvious, empty = KINDS[kind]
    buckets, values, _ = data
    found = rolled(buckets, buckets, lambda merger, inside: merge(merger, values[inside]))
    for length in LENGTHS:
        for t, merged in zip(buckets, found[length], strict=True):
            inside = values[(buckets > t - length) & (buckets <= t)]
            inside = inside[~np.isnan(inside)]
            expected = obvious(inside) if len(inside) else empty
            assert merged == pytest.approx(expected, rel=1e-12, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("kind", KINDS)
@given(data=sparse(), cut=st.integers(0, 40))
def test_where_rows_are_cut_changes_no_bit(kind, data, cut):
    merge, _, _ = KINDS[kind]
    buckets, values, _ = data
    whole = rolled(buckets, buckets, lambda merger, inside: merge(merger, values[inside]))
    parts = [part for part in (buckets[:cut], buckets[cut:]) if len(part)]
    pieces = [rolled(buckets, part, lambda merger, inside: merge(merger, values[inside])) for part in parts]
    for length in LENGTHS:
        assert np.concatenate([piece[length] for piece in pieces]).tobytes() == whole[length].tobytes()


def events_of(values, counts, seed):
    """Events whose moments the buckets hold, and those moments: counts, mean x, mean y, M2 x, co-moment."""
    rng = np.random.default_rng(seed)
    events = [np.nan_to_num(v) + rng.normal(size=(int(n), 2)) for v, n in zip(values, counts, strict=True)]
    means = np.array([e.mean(axis=0) if len(e) else [np.nan, np.nan] for e in events])
    m2 = np.array([((e[:, 0] - m[0]) ** 2).sum() if len(e) else np.nan for e, m in zip(events, means, strict=True)])
    products = [
        ((e[:, 0] - m[0]) * (e[:, 1] - m[1])).sum() if len(e) else np.nan for e, m in zip(events, means, strict=True)
    ]
    return events, (means[:, 0], means[:, 1], m2, np.array(products))


PRODUCTS = ((0, 0), (0, 1))


def assert_moments(found, inside):
    if len(inside):
        mean = inside.mean(axis=0)
        away = inside - mean
        expected = [*mean, (away[:, 0] ** 2).sum(), (away[:, 0] * away[:, 1]).sum()]
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-6)


@settings(deadline=None)
@given(data=sparse(), seed=st.integers(0, 2**32 - 1))
def test_moments_are_those_of_all_events_together(data, seed):
    buckets, values, counts = data
    events, moments = events_of(values, counts, seed)
    for place in range(4):
        found = rolled(
            buckets,
            buckets,
            lambda m, inside, k=place: m.moments("n", counts[inside], tuple(c[inside] for c in moments), PRODUCTS)[k],
        )
        if place == 0:
            every = {length: [found[length]] for length in LENGTHS}
        else:
            for length in LENGTHS:
                every[length].append(found[length])
    for length in LENGTHS:
        for i, t in enumerate(buckets):
            inside = [e for b, e in zip(buckets, events, strict=True) if t - length < b <= t]
            assert_moments([column[i] for column in every[length]], np.concatenate(inside))


@settings(deadline=None)
@given(data=sparse(), seed=st.integers(0, 2**32 - 1))
def test_bars_put_together_from_bars_hold_all_events(data, seed):
    buckets, values, counts = data
    events, moments = events_of(values, counts, seed)
    ends = {0: buckets}
    groupings = []
    for length, source in ((4, 0), (12, 4)):
        end = ends[source] // length
        starts = np.flatnonzero(np.diff(end, prepend=-1))
        groupings.append(Grouping(length, source, starts))
        ends[length] = end[starts] * length
    merged = Grouped(groupings).moments("n", counts, moments, PRODUCTS)
    sums = Grouped(groupings).add(values)
    for length in (4, 12):
        for i, end in enumerate(ends[length]):
            inside = [e for b, e in zip(buckets, events, strict=True) if b // length * length == end]
            assert_moments([column[length][i] for column in merged], np.concatenate(inside))
            assert sums[length][i] == pytest.approx(np.nansum(values[buckets // length * length == end]), abs=1e-9)


def test_a_constant_keeps_its_mean_and_no_deviation():
    counts = np.array([3.0, 7.0, 1.0])
    moments = (np.full(3, 0.1), np.zeros(3))
    mean, m2 = Grouped([Grouping(3, 0, np.array([0]))]).moments("n", counts, moments, ((0, 0),))
    assert mean[3].tolist() == [0.1]
    assert m2[3].tolist() == [0.0]


@pytest.mark.parametrize("length", [1, 2, 5, 60, 3600, 7200])
def test_parts_are_powers_of_two_that_sum_to_the_length(length):
    parts = parts_of(length)
    assert sum(parts) == length
    assert all(part & (part - 1) == 0 for part in parts)
    assert parts == sorted(parts, reverse=True)
