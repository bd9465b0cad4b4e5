"""Frames compared exactly, and the least of bronze an incremental step reads."""

from polars.testing import assert_frame_equal

from support.dirty import Bronze


def assert_identical(found, wanted):
    """Same columns, order, types and bits."""
    assert_frame_equal(found, wanted, check_exact=True)


def between(bronze, start_us, end_us):
    """The events with start ≤ capture_ts < end, and the gap rows that overlap that range."""

    def inside(rows):
        return None if rows is None else [row for row in rows if start_us <= row["capture_ts"] < end_us]

    gaps = [gap for gap in bronze.gaps if gap["gap_end"] >= start_us and gap["gap_start"] < end_us]
    return Bronze(inside(bronze.book), inside(bronze.trades), gaps)


def clock_edges(options, bronze, rng, count):
    """Random watermarks inside the recording, not on any grid, ascending."""
    first = min(row["capture_ts"] for row in [*bronze.book, *(bronze.trades or [])])
    inside = [rng.randrange(first, bronze.end_us) for _ in range(count)]
    return [*sorted(inside), bronze.end_us + 2 * options.bucket_us]
