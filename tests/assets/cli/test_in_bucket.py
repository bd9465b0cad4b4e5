"""The command line where the lake, or a path it is given, is in a bucket: the same answer as on a disk, or one clear line."""

import pytest
from support.lakes import bucket_lake, files_below
from support.market import DAY, config_of, deliver, records, seal

from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.paths import Lake
from fluxforge_assets.lake.replacing import NOTE
from fluxforge_assets.lake.update import update
from fluxforge_collector.storage.changes import write
from fluxforge_collector.storage.local import LocalStore
from fluxforge_collector.transfer.plan import Filter
from fluxforge_collector.transfer.sync import sync

ONE = (("binanceus", "BTC/USDT"),)
SILVER = f"processed/ccxt/orderbook/hf/exchange=binanceus/symbol=BTC-USDT/date={DAY}"


@pytest.fixture(scope="module")
def near(tmp_path_factory):
    """A lake of NDJSON segments on a disk: one landed and computed, one still ready."""
    folder = tmp_path_factory.mktemp("near")
    made = Lake(folder / "lake")
    manifests = seal(
        folder / "staging", records(3, seconds=20, instruments=ONE), segment_seconds=10, raw_format="ndjson"
    )
    deliver(folder / "staging", made.root, manifests[:1])
    land(made, "ccxt")
    list(update(made, config_of(made.root), "ccxt", DAY))
    deliver(folder / "staging", made.root, manifests[1:])
    return made


def copied(near, server, folder):
    made = bucket_lake(server, folder)
    sync(LocalStore(near.root), made.root.store, wanted=Filter())
    return made


@pytest.fixture(scope="module")
def shared(near, s3_server, tmp_path_factory):
    """A copy of it in a bucket, for whoever only reads."""
    return copied(near, s3_server, tmp_path_factory.mktemp("shared"))


@pytest.fixture
def named(s3_server, tmp_path, monkeypatch):
    """Lets the environment say where the lake is."""

    def name(lake):
        monkeypatch.chdir(tmp_path)
        for key, value in (
            ("LAKE__ROOT", str(lake.root)), ("LAKE__WORK", str(lake.local)), ("STORAGE__ENDPOINT", s3_server.endpoint),
            ("STORAGE__ACCESS_KEY", "test:tester"), ("STORAGE__SECRET_KEY", "testing"), ("STORAGE__REGION", "us-east-1"),
        ):  # fmt: skip
            monkeypatch.setenv(f"FLUXFORGE__{key}", value)
        return lake

    return name


@pytest.fixture
def far(shared, named):
    """The copy that all share."""
    return named(shared)


@pytest.fixture
def own(near, named, s3_server, tmp_path):
    """A copy that may be changed."""
    return named(copied(near, s3_server, tmp_path))


@pytest.mark.parametrize("where", ["processed/ccxt/trades", "raw/archive/ccxt/trades", SILVER])
def test_a_path_in_a_bucket_answers_as_on_a_disk(far, near, typed, where):
    asked = ("--format", "csv", "--symbol", "BTC/USDT", "--last", "5s")
    here = typed("query", near.root / where, *asked)
    assert here[1].count("\n") > 2
    assert typed("query", far.root / where, *asked) == here


@pytest.mark.parametrize(
    "arguments",
    [
        ["coverage", "--json"], ["compact", "--dry-run"], ["convert", "--dry-run"], ["repair"],
        ["retention"], ["prune", "--instrument", "binanceus:BTC-USDT"], ["backfill", "--all"],
        ["query", "gold/bars", "--sql", "select count(*) as bars from data", "--format", "csv"],
    ],
    ids=lambda arguments: " ".join(arguments[:3]),
)  # fmt: skip
def test_a_command_answers_of_a_bucket_as_of_a_disk(far, near, typed, monkeypatch, arguments):
    monkeypatch.setenv("FLUXFORGE__RETENTION__KEEP_SILVER_DAYS", "1")
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    there = typed(*arguments)
    monkeypatch.setenv("FLUXFORGE__LAKE__ROOT", str(near.root))
    assert typed(*arguments) == there
    assert there[0] in {0, 1}, there[2]
    assert len(there[1]) > 0


def test_a_file_in_a_bucket_is_a_path_too(far, typed):
    part = files_below(far, SILVER)[-1]
    code, out, err = typed("query", far.root / part, "--columns", "ts,mid", "--limit", "3", "--format", "csv")
    assert (code, out.count("\n")) == (0, 4), err


def test_files_that_a_replacement_hides_are_not_read(own, typed):
    """Read side by side, old and new, every row would be there twice."""
    asked = ("query", own.root / "processed/ccxt/orderbook/hf", "--format", "csv")
    before = typed(*asked)
    part = files_below(own, SILVER)[-1]
    name, new = part.rpartition("/")[2], "part-1-2-0123456789ab.parquet"
    write(own.root / SILVER / new, (own.root / part).read_bytes())
    write(own.root / SILVER / NOTE, f'{{"token": "t", "new": ["{new}"], "old": ["{name}"], "is_done": false}}'.encode())
    assert typed(*asked) == before


def test_a_picture_of_what_is_in_a_bucket(far, typed, tmp_path):
    code, _, err = typed("plot", far.root / SILVER, "--out", tmp_path / "mid.png")
    assert code == 0, err
    assert (tmp_path / "mid.png").read_bytes().startswith(b"\x89PNG")


def test_ndjson_segments_of_a_bucket_become_parquet(own, typed):
    land(own, "ccxt")
    asked = ("query", "bronze/trades", "--format", "csv", "--columns", "capture_ts,seq,price,amount")
    rows = typed(*asked)
    code, out, err = typed("convert")
    assert (code, "2 segments" in out) == (0, True), err
    assert not [name for name in files_below(own, "raw") if name.endswith(".ndjson.zst")]
    assert typed(*asked) == rows
    assert typed("convert")[1].startswith("nothing to convert")
    assert typed("repair")[1].startswith("nothing is wrong")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["query", "s3://Not_A_Bucket/x"], "names no bucket"),
        (["query", "{lake}/nowhere"], "there is no s3://"),
        (["query", "s3://never-made/x"], "there is no such bucket"),
        (["query", "{lake}/raw/ready", "--format", "csv"], "several channels"),
        (["query", "gold/bars", "--format", "csv", "--out", "{lake}/bars.csv"], "on a disk"),
        (["plot", "{lake}/nowhere", "--out", "x.png"], "there is no s3://"),
        (["plot", "gold/bars", "--out", "{lake}/x.png"], "on a disk"),
        (["compute", "silver", "--book", "{lake}/book.parquet", "--out", "x.parquet"], "`fluxforge query`"),
        (["coverage", "--calendar", "{lake}/x.png"], "on a disk"),
        (["demo", "--root", "{lake}"], "on a disk"),
        (["replay", "--into", "{lake}/again"], "`fluxforge sync`"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else None,
)
def test_what_cannot_be_done_there_is_one_line_with_a_remedy(far, typed, tmp_path, arguments, said):
    before = files_below(far)
    code, _, err = typed(*(argument.format(lake=far.root) for argument in arguments))
    assert (code, err.count("\n")) == (2, 1), err
    assert said in err
    assert files_below(far) == before
    assert not (tmp_path / "s3:").exists()
