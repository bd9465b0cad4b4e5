"""A change of configuration as a user lives through it: `dagster dev` of the README, stale partitions told, backfilled.

Here one partition is backfilled by the mutation that the page's dialog sends. The long form, in `make long`, changes
twice and uses the command too; `browser/test_page.py` clicks.
"""

import json
import re
from pathlib import Path

import dagster_webserver
import polars as pl
import pytest
from support.dagster_dev import Platform
from support.market import DAY, INSTRUMENTS, NOON_US, records, seal

NEXT_DAY = "2026-11-21"
DAY_US = 86_400_000_000
BTC, ETH = "binanceus:BTC-USDT", "binanceus:ETH-USDT"
ASSETS = ("silver/orderbook", "gold/bars")
CHECK = "configuration_current"
PAGE = Path(dagster_webserver.__file__).parent / "webapp" / "build" / "_next" / "static" / "chunks"
EVERY = {f"{day}|{name}" for day in (DAY, NEXT_DAY) for name in (BTC, ETH)}

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def platform(tmp_path):
    """Segments of two days, dropped into `raw/ready`, that the running Dagster has made bars of."""
    made = Platform(tmp_path)
    for number in range(2):
        seal(
            made.lake.root, records(number, start_us=NOON_US + number * DAY_US, seconds=20, instruments=INSTRUMENTS[:2])
        )
    made.start()
    try:
        made.wait(lambda: made.partitions("gold/bars") == EVERY, "bars of both days")
        yield made
    finally:
        made.stop()


def test_a_partition_is_backfilled_by_the_dialogs_mutation(platform):
    before = parts(platform)
    platform.configure(horizons=[1, 10])
    platform.reload()
    execute_check(platform, "silver/orderbook")
    platform.wait(lambda: platform.check("silver/orderbook", CHECK)[0] == "FAILED", "stale is told")
    _, shown = platform.check("silver/orderbook", CHECK)
    assert (shown["stored"], shown["stale"]) == (4, 4)
    assert shown["mend"] == "fluxforge backfill --stale --asset silver/orderbook --launch"

    launch(platform, [f"{DAY}|{BTC}"])
    platform.wait(lambda: having(parts(platform), "log_ret_10s"), "it is replaced")
    assert stale(platform) == EVERY - {f"{DAY}|{BTC}"}
    after = parts(platform)
    assert having(after, "log_ret_10s") == {f"{DAY}|{BTC}"}
    assert all(after[key] == before[key] for key in before if key[1] != f"{DAY}|{BTC}")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_changes_are_told_and_backfilled_by_command_and_dialog(platform):
    """A new horizon, then another band: each time the sensor tells, and only what is backfilled changes."""
    before = parts(platform)
    platform.configure(horizons=[1, 10])
    platform.reload()
    wait_for_stale(platform, 4)
    platform.run("fluxforge", "backfill", "--stale", "--instrument", BTC, "--launch", "--url", platform.url)
    of_btc = {key for key in EVERY if key.endswith(BTC)}
    wait_for_stale(platform, 2)
    assert stale(platform) == EVERY - of_btc
    after = parts(platform)
    assert having(after, "log_ret_10s") == of_btc
    assert all(after[key] == before[key] for key in before if key[1] not in of_btc)

    launch(platform, sorted(EVERY - of_btc))
    wait_for_stale(platform, 0)
    assert having(parts(platform), "log_ret_10s") == EVERY

    before = parts(platform)
    platform.configure(horizons=[1, 10], bands_bps=[5, 20])
    platform.reload()
    wait_for_stale(platform, 4)
    assert parts(platform) == before
    launch(platform, sorted(key for key in EVERY if key.startswith(NEXT_DAY)))
    wait_for_stale(platform, 2)
    after = parts(platform)
    assert having(after, "bid_depth_5_20bps") == {key for key in EVERY if key.startswith(NEXT_DAY)}
    assert all(after[key] == before[key] for key in before if key[1].startswith(DAY))
    said = platform.run("fluxforge", "backfill", "--stale", "--launch")
    assert "judging by past runs" in said
    assert "no Dagster daemon" not in said
    wait_for_stale(platform, 0)
    assert having(parts(platform), "bid_depth_5_20bps") == EVERY
    assert platform.run("fluxforge", "backfill", "--stale").strip() == "nothing to compute again"


def wait_for_stale(platform, count):
    """Until the check, as the page shows it, says so of silver."""
    wanted = ("FAILED" if count else "SUCCEEDED", count)

    def told():
        status, shown = platform.check("silver/orderbook", CHECK)
        return (status, shown.get("stale")) == wanted

    platform.wait(told, f"{count} are stale")


def stale(platform):
    """The stale partitions by the command: of silver alone, for bars know nothing of horizons and bands."""
    batches = json.loads(platform.run("fluxforge", "backfill", "--stale", "--json"))["batches"]
    assert all(batch["assets"] == ["silver/orderbook"] for batch in batches)
    return {key for batch in batches for key in batch["partitions"]}


def launch(platform, keys):
    """Launch the partitions as the dialog does, with the mutation of the page's own code."""
    selection = [{"path": asset.split("/")} for asset in ASSETS]
    params = {"tags": [], "assetSelection": selection, "partitionNames": keys, "fromFailure": False}
    answer = platform.ask(dialogs_mutation(), backfillParams=params)["launchPartitionBackfill"]
    assert "backfillId" in answer, answer


def dialogs_mutation():
    (found,) = (
        found[1]
        for file in PAGE.glob("*.js")
        if (
            found := re.search(
                r"(mutation LaunchPartitionBackfill\(.*?)\.\.\.PythonErrorFragment", file.read_text("utf-8")
            )
        )
    )
    return found.replace("\\n", "\n") + "... on PythonError { message } } }"


def execute_check(platform, asset):
    """What the button Execute on the tab Checks does."""
    path = {"path": asset.split("/")}
    repository = platform.ask(_REPOSITORY, key=path)["assetNodes"][0]["repository"]
    params = {
        "mode": "default", "executionMetadata": {"tags": []}, "runConfigData": "{}",
        "selector": {
            "repositoryLocationName": repository["location"]["name"], "repositoryName": repository["name"],
            "pipelineName": "__ASSET_JOB", "assetSelection": [],
            "assetCheckSelection": [{"assetKey": path, "name": CHECK}],
        },
    }  # fmt: skip
    answer = platform.ask(_EXECUTE, params=params)["launchPipelineExecution"]
    assert answer["__typename"] == "LaunchRunSuccess", answer


_REPOSITORY = "query($key: AssetKeyInput!) { assetNodes(assetKeys: [$key]) { repository { name location { name } } } }"
_EXECUTE = """mutation($params: ExecutionParams!) { launchPipelineExecution(executionParams: $params) {
  __typename ... on PythonError { message } } }"""


def parts(platform):
    """The files of silver order books and bars, by dataset and partition key."""
    found = {}
    for folder in ("orderbook/hf", "orderbook/bars"):
        for file in platform.lake.dataset("ccxt", folder).rglob("part-*.parquet"):
            exchange, symbol, day = (name.partition("=")[2] for name in file.parts[-4:-1])
            found.setdefault((folder, f"{day}|{exchange}:{symbol}"), []).append((file, file.stat().st_ino))
    return found


def having(found, name):
    """The partitions of silver that have a column; one that vanishes under the look is being replaced."""
    try:
        return {
            key
            for (folder, key), files in found.items()
            for file, _ in files
            if folder == "orderbook/hf" and name in pl.read_parquet_schema(file)
        }
    except FileNotFoundError:
        return set()
