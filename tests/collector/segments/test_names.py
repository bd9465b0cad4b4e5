from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxforge_collector.errors import DataError
from fluxforge_collector.segments.names import (
    SourcePaths,
    date_of,
    new_segment_id,
    parse_segment_id,
    segment_of_file,
)

TIMES = st.integers(0, 253_402_300_799_999_999)
ID = "20240808T000000Z_c1_01J4QMJ13VE8CDKMFHFRPN2FP4"


@given(TIMES, st.from_regex(r"[a-z0-9]{1,16}", fullmatch=True))
def test_an_id_gives_back_its_start_and_collector(start_us, collector):
    name = parse_segment_id(new_segment_id(start_us, collector))
    assert (name.start_us, name.collector) == (start_us, collector)


@given(st.lists(TIMES, min_size=2, unique=True))
def test_ids_of_a_collector_sort_by_start(starts):
    ids = [new_segment_id(start, "c1") for start in sorted(starts)]
    assert ids == sorted(ids)


def test_ids_never_repeat_even_for_the_same_instant():
    assert len({new_segment_id(1, "c1") for _ in range(10_000)}) == 10_000


@pytest.mark.parametrize(
    "hostile",
    [
        "",
        "..",
        ID + "\n",
        ID.lower(),
        ID[:-1],
        ID.replace("c1", "../c1"),
        ID.replace("c1", "C1"),
        ID.replace("20240808", "20240809"),
        ID.replace("01J4", "71J4"),
        ID.replace("P4", "U4"),
    ],
)
def test_what_is_no_id_is_refused(hostile):
    with pytest.raises(DataError):
        parse_segment_id(hostile)


@pytest.mark.parametrize("name", ["segment_.json", f"{ID}.json", f"segment_{ID}.csv", f"x/segment_{ID}.json", ""])
def test_what_is_no_file_of_a_segment_is_refused(name):
    with pytest.raises(DataError):
        segment_of_file(name)


@pytest.mark.parametrize("hostile", ["", "..", "a/b", "A", "a.b", "a\0", "x" * 40])
def test_hostile_names_reach_no_path(hostile):
    with pytest.raises(DataError):
        SourcePaths(Path("lake"), hostile)
    paths = SourcePaths(Path("lake"), "ccxt")
    for refused in (
        lambda: paths.journal(hostile, ID),
        lambda: paths.ready_file("orderbook", hostile),
        lambda: paths.archive_manifest(hostile, ID),
        lambda: paths.lock(hostile),
    ):
        with pytest.raises(DataError):
            refused()


@pytest.mark.parametrize("hostile", ["", ".", "..", "a/b", "../x", "a\0"])
def test_a_hostile_file_name_reaches_no_quarantine(hostile):
    with pytest.raises(DataError):
        SourcePaths(Path("lake"), "ccxt").quarantine_file("orderbook", hostile)


def test_files_stand_where_the_lake_says():
    paths = SourcePaths(Path("lake"), "ccxt")
    assert [
        path.as_posix()
        for path in (
            paths.journal("trades", ID),
            paths.ready_file("trades", ID),
            paths.archive_file("trades", "2024-08-08", ID),
            *paths.manifests(ID),
        )
    ] == [
        f"lake/raw/active/ccxt/trades/segment_{ID}.arrow",
        f"lake/raw/ready/ccxt/trades/segment_{ID}.parquet",
        f"lake/raw/archive/ccxt/trades/date=2024-08-08/segment_{ID}.parquet",
        f"lake/raw/ready/ccxt/segment_{ID}.json",
        f"lake/raw/processing/ccxt/segment_{ID}.json",
        f"lake/raw/archive/ccxt/date=2024-08-08/segment_{ID}.json",
        f"lake/raw/uploaded/ccxt/date=2024-08-08/segment_{ID}.json",
        f"lake/raw/quarantine/ccxt/segment_{ID}.json",
    ]


def test_dates_are_utc():
    assert [date_of(0), date_of(86_399_999_999), date_of(86_400_000_000)] == ["1970-01-01", "1970-01-01", "1970-01-02"]
