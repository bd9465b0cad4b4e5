"""`fluxforge compact` and `fluxforge retention`, as typed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.market import DAY, deliver, records, seal

from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.paths import Lake
from fluxforge_assets.lake.update import update
from fluxforge_collector.config.load import load_config


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A lake with a day in many files, and its configuration."""
    root = tmp_path_factory.mktemp("lake")
    values = {"lake": {"root": str(root / "lake")}, "etl": {"channels": {"orderbook": {"processor_options": {
        "max_levels": 3, "ofi_levels": 3, "wmid_levels": [3], "horizons": [1, 5], "bar_durations": [1, 5], "max_gap": 10}}}}}  # fmt: skip
    (root / "fluxforge.yaml").write_text(yaml.safe_dump(values))
    lake, config = Lake(root / "lake"), load_config(root / "fluxforge.yaml")
    manifests = seal(root / "staging", records(3, seconds=40, gaps=0.05))
    for start in range(0, len(manifests), 3):
        deliver(root / "staging", lake.root, manifests[start : start + 3])
        land(lake, "ccxt")
        list(update(lake, config, "ccxt", DAY))
    return root


def fluxforge(root, *arguments):
    """Exit code, output and errors of a command."""
    command = [str(Path(sys.executable).with_name("fluxforge")), *arguments]
    done = subprocess.run(
        [*command, "--config", str(root / "fluxforge.yaml")], capture_output=True, text=True, timeout=100, check=False
    )
    return done.returncode, done.stdout, done.stderr


def files(root):
    return sorted(str(path.relative_to(root)) for path in (root / "lake").glob("[rp]*/**/*.parquet"))


def test_compaction_says_what_it_would_do_does_it_and_then_has_nothing_to_do(template):
    before = files(template)
    code, out, _ = fluxforge(template, "compact", "--dry-run")
    assert code == 0
    assert "silver/orderbook" in out
    assert "would merge" in out
    assert files(template) == before

    code, out, _ = fluxforge(
        template, "compact", "--partition", f"exchange=okx/symbol=BTC-USDT_USDT/date={DAY}", "--json"
    )
    assert code == 0
    said = [json.loads(line) for line in out.splitlines()]
    assert {one["partition"] for one in said} == {f"{DAY}|okx:BTC-USDT_USDT"}
    assert all(one["files_after"] < one["files_before"] for one in said)

    code, out, _ = fluxforge(template, "compact", "--channel", "gaps", "--from", DAY, "--to", DAY)
    assert code == 0
    assert out.startswith("bronze/gaps")
    assert "→ 1 file " in out

    code, out, _ = fluxforge(template, "compact")
    assert code == 0
    assert "files became" in out
    after = files(template)
    code, out, _ = fluxforge(template, "compact")
    assert (code, out.partition(":")[0]) == (0, "nothing to do")
    assert files(template) == after
    assert len(after) < len(before)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--partition", "BTC-USDT"], "is no partition"),
        (["--partition", ""], "is no partition"),
        (["--partition", "exchange=okx/symbol=../../etc"], "nothing is stored"),
        (["--partition", "exchange=okx/symbol=BTC%zz"], "path-safe"),
        (["--partition", "exchange=OKX/symbol=BTC-USDT"], "exchange id"),
        (["--partition", "exchange=okx/symbol=DOGE-USDT"], "nothing is stored"),
        (["--partition", "exchange=okx/symbol=BTC/USDT:USDT/date=2026-13-01"], "is no date"),
        (["--partition", "exchange=okx/exchange=okx"], "is no partition"),
        (["--partition", f"date={DAY}", "--from", DAY], "names its date"),
        (["--from", "yesterday"], "is no date"),
        (["--from", "2026-11-21", "--to", "2026-11-20"], "is after"),
        (["--from", "2999-01-01"], "not closed yet"),
    ],
)
def test_what_cannot_be_meant_is_one_clear_error(template, arguments, words):
    before = files(template)
    code, out, err = fluxforge(template, "compact", *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1
    assert files(template) == before


def test_a_file_that_cannot_be_read_is_told_and_exits_1(template, tmp_path):
    shutil.copytree(template, tmp_path / "copy")
    root = tmp_path / "copy"
    (root / "fluxforge.yaml").write_text(f"lake: {{root: {root / 'lake'}}}\n")
    folder = root / f"lake/processed/ccxt/trades/exchange=okx/symbol=BTC-USDT_USDT/date={DAY}"
    (folder / "part-1-2-000000000000.parquet").write_bytes(b"no parquet")
    (folder / "part-3-4-000000000000.parquet").write_bytes(b"no parquet")
    code, _, err = fluxforge(root, "compact", "--channel", "trades")
    assert code == 1
    assert "part-1-2" in err
    assert "materialise" in err
    code, out, err = fluxforge(root, "compact", "--channel", "trades")
    assert (code, out) == (1, ""), "what could not be compacted is not compact"
    assert "part-1-2" in err


def test_retention_shows_first_and_deletes_when_told(template, tmp_path):
    shutil.copytree(template, tmp_path / "copy")
    root = tmp_path / "copy"
    (root / "fluxforge.yaml").write_text(f"lake: {{root: {root / 'lake'}}}\n")
    assert "everything is kept" in fluxforge(root, "retention", "--apply")[1]
    with (root / "fluxforge.yaml").open("a") as file:
        file.write("retention: {keep_gold_days: 1}\n")
    before = files(root)
    code, out, _ = fluxforge(root, "retention")
    assert code == 0
    assert "nothing was changed" in out
    assert files(root) == before
    code, out, _ = fluxforge(root, "retention", "--apply", "--json")
    assert code == 0
    assert all(json.loads(line)["deleted"] for line in out.splitlines())
    gone = set(before) - set(files(root))
    assert gone
    assert all("orderbook/bars" in name for name in gone)
