import pytest

from fluxforge_collector.storage import Entry
from fluxforge_collector.transfer.plan import Filter, is_closed, plan

SEGMENT = "20240808T120000Z_c1_01J4S0Q5G0000000000000000"
PART = "processed/ccxt/orderbook/hf/exchange=okx/symbol=BTC-USDT/date=2024-08-08/part-1-2-0123456789ab.parquet"


def entries(*keys):
    return [Entry(key, 1, 0.0) for key in keys]


def keys_of(found):
    return [entry.key for entry in found]


def planned(source, destination=(), **wanted):
    return plan(entries(*source), {e.key: e for e in entries(*destination)}, Filter(**wanted))


@pytest.mark.parametrize(
    ("key", "closed"),
    [
        (f"raw/active/ccxt/trades/segment_{SEGMENT}.arrow", False),
        (f"raw/processing/ccxt/segment_{SEGMENT}.json", False),
        (f"raw/uploaded/ccxt/segment_{SEGMENT}.json", False),
        (".work/marks/ccxt.2024-08-08", False),
        ("processed/ccxt/.hidden/x.parquet", False),
        (PART.replace("part-1-2-0123456789ab.parquet", "_replacing.json"), False),
        (f"raw/archive/ccxt/trades/date=2024-08-08/segment_{SEGMENT}.parquet", True),
        ("raw/quarantine/ccxt/trades/x.parquet", True),
        (PART, True),
    ],
)
def test_only_closed_files_are_copied(key, closed):
    assert is_closed(key) is closed
    assert keys_of(planned([key]).files) == ([key] if closed else [])


def test_manifests_go_last():
    files = [f"raw/archive/ccxt/{c}/date=2024-08-08/segment_{SEGMENT}.parquet" for c in ("orderbook", "trades")]
    manifest = f"raw/archive/ccxt/date=2024-08-08/segment_{SEGMENT}.json"
    todo = planned([manifest, *files])
    assert (keys_of(todo.files), keys_of(todo.manifests)) == (files, [manifest])


def test_a_sealed_file_waits_for_its_manifest():
    file, manifest = f"raw/ready/ccxt/trades/segment_{SEGMENT}.parquet", f"raw/ready/ccxt/segment_{SEGMENT}.json"
    assert not planned([file]).files
    assert keys_of(planned([file, manifest]).files) == [file]


@pytest.mark.parametrize("stage", ["processing", "archive", "quarantine"])
def test_a_segment_that_went_on_there_is_not_sent_again(stage):
    source = [f"raw/ready/ccxt/trades/segment_{SEGMENT}.parquet", f"raw/ready/ccxt/segment_{SEGMENT}.json"]
    date = "date=2024-08-08/" if stage == "archive" else ""
    todo = planned(source, [f"raw/{stage}/ccxt/{date}segment_{SEGMENT}.json"])
    assert not todo.files
    assert not todo.manifests


@pytest.mark.parametrize("side", ["source", "destination"])
def test_a_folder_that_is_being_replaced_waits(side):
    note = PART.rpartition("/")[0] + "/_replacing.json"
    other = PART.replace("BTC", "ETH")
    todo = planned([PART, other, note]) if side == "source" else planned([PART, other], [note])
    assert keys_of(todo.files) == [other]


def test_patterns_choose():
    source = [PART, "raw/quarantine/ccxt/trades/x.parquet"]
    assert keys_of(planned(source, include=("processed/*",)).files) == [PART]
    assert keys_of(planned(source, exclude=("*/symbol=BTC-USDT/*",)).files) == source[1:]


def test_only_replaced_parts_are_superseded():
    folder = PART.rpartition("/")[0]
    other = folder.replace("BTC", "ETH")
    there = [
        f"{folder}/part-1-3-ba9876543210.parquet",
        f"{other}/part-1-3-ba9876543210.parquet",  # the source has no such partition any more: perhaps the only copy
        f"raw/archive/ccxt/trades/date=2024-08-08/segment_{SEGMENT}.parquet",
        PART,
    ]
    assert keys_of(planned([PART], there).superseded) == there[:1]
    assert not planned([PART], there, exclude=("processed/*",)).superseded
