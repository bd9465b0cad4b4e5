"""Dagster's page in a real browser: what a user looks at, and a backfill launched by clicking.

With FLUXFORGE_PICTURES=docs/assets the pictures of the docs are taken anew.
"""

import os
import re
from pathlib import Path
from urllib.parse import quote

import polars as pl
import pytest
from playwright.sync_api import expect, sync_playwright
from support.market import DAY

NEXT_DAY = "2026-11-21"
CHROMIUM = Path("/usr/bin/chromium")
GROUPS = ("bronze", "silver", "gold")
BTC = f"{DAY}|binanceus:BTC-USDT"

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


@pytest.fixture(scope="session")
def browser():
    """Chromium without a window."""
    if not CHROMIUM.exists():
        pytest.fail("Chromium is missing: apt-get install chromium", pytrace=False)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield opened
        opened.close()


@pytest.fixture
def page(browser, platform):
    """A page of its own, wide enough for the graph; Dagster's content policy would forbid waiting for text."""
    context = browser.new_context(bypass_csp=True, viewport={"width": 1800, "height": 1300}, base_url=platform.url)
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


@pytest.fixture
def keep(tmp_path):
    """Takes a picture of a page once nothing of it is loading."""
    folder = Path(os.environ.get("FLUXFORGE_PICTURES") or tmp_path)

    def take(page, name):
        expect(page.get_by_text("Loading").locator("visible=true")).to_have_count(0, timeout=30_000)
        page.mouse.move(5, 1000)
        page.screenshot(path=folder / name, animations="disabled")
        assert (folder / name).stat().st_size > 30_000

    return take


def seen(page, text):
    """A visible text: Dagster keeps hidden copies to measure by."""
    return page.get_by_text(text, exact=True).locator("visible=true")


def test_the_lineage_page_reads_as_the_data_flow(page, keep):
    selection = " or ".join(f'group:"{group}"' for group in GROUPS)
    opened = ",".join(f"global@global:{group}" for group in GROUPS)
    page.goto(f"/asset-groups~{selection}/?expanded={opened}")
    for name in ("gaps", "orderbook", "bars", "vpin"):
        expect(seen(page, name).last).to_be_visible()
    filled = page.get_by_text(re.compile(r"^\d+% filled$")).locator("visible=true")  # of the days up to today
    expect(filled.last).to_be_visible()
    places = [seen(page, group).last.bounding_box()["x"] for group in GROUPS]
    assert places == sorted(places)
    assert places[0] < places[1] < places[2]
    keep(page, "lineage.png")


def test_an_asset_says_what_it_is(page, keep):
    page.goto("/assets/gold/bars?view=overview")
    for text in ("research", "Parquet", "Polars", "layer: gold", "mid_close"):
        expect(seen(page, text).first).to_be_visible()
    expect(page.get_by_text("Bars of every duration").first).to_be_visible()
    expect(page.get_by_text("Last mid. [px]").first).to_be_visible()
    keep(page, "asset.png")


def test_a_partition_shows_what_it_holds(page, keep):
    page.goto(f"/assets/silver/orderbook?view=partitions&partition={quote(BTC)}")
    expect(seen(page, "Materialized (6)")).to_be_visible()
    expect(seen(page, "null_rate")).to_be_visible()
    expect(page.get_by_text("fluxforge query silver/orderbook --exchange binanceus")).to_be_visible()
    expect(page.get_by_role("columnheader", name="spread_bps", exact=True)).to_be_visible()
    plot = page.locator("img[alt='spread_bps, ofi_l0, imb_l0']")
    expect(plot).to_be_visible()
    assert plot.evaluate("image => image.complete && image.naturalWidth") == 560
    keep(page, "partition.png")


def test_checks_are_shown_with_their_numbers(page, keep):
    page.goto("/assets/silver/orderbook/?view=checks&checkDetail=book_events_conserved")
    for name in ("declared_columns", "no_crossed_book", "trade_volume_conserved", "mid_agrees_with_ticker"):
        expect(seen(page, name).first).to_be_visible()
    expect(page.get_by_text("exactly the bronze rows").first).to_be_visible()
    expect(seen(page, "Passed").first).to_be_visible()
    expect(seen(page, "failed").last).to_be_visible()
    keep(page, "checks.png")


def test_a_change_of_configuration_is_seen_and_backfilled_by_clicking(page, platform, keep):
    untouched = stored(platform, NEXT_DAY)
    platform.configure(horizons=[1, 10], bands_bps=[5, 20])
    page.goto("/locations")
    page.get_by_role("button", name="Reload").first.click()
    page.goto("/assets/silver/orderbook?view=checks&checkDetail=configuration_current")
    platform.wait(lambda: platform.check("silver/orderbook", "configuration_current")[0] == "FAILED", "stale is told")
    page.reload()
    expect(page.get_by_text("fluxforge backfill --stale --asset silver/orderbook").first).to_be_visible()
    keep(page, "stale.png")

    page.goto("/assets/silver/orderbook?view=partitions")
    page.get_by_role("button", name="Materialize").first.click()
    expect(page.get_by_text("Partition selection")).to_be_visible()
    dates = page.get_by_placeholder("ex: 2026", exact=False).last
    dates.fill(DAY)
    dates.press("Enter")
    page.get_by_role("button", name="All", exact=True).last.click()
    expect(seen(page, "3 partitions")).to_be_visible()
    keep(page, "backfill.png")
    page.get_by_role("button", name="Launch backfill").click()
    platform.wait(lambda: [*map(has_changed, stored(platform, DAY))] == [True] * 3, "the date is replaced")
    page.goto("/runs?view=backfills")
    expect(seen(page, "Success").first).to_be_visible(timeout=120_000)
    assert stored(platform, NEXT_DAY) == untouched
    assert not any(has_changed(file) for file in untouched)


def stored(platform, day):
    """Silver's parts of a date, with what changes when one is replaced."""
    files = (platform.lake.root / "processed").glob(f"*/orderbook/hf/*/*/date={day}/part-*.parquet")
    return {file: file.stat().st_ino for file in files}


def has_changed(file):
    """Whether a part has the columns of the changed configuration."""
    try:
        names = pl.read_parquet_schema(file)
    except FileNotFoundError:
        return False
    return "log_ret_10s" in names and "bid_depth_5_20bps" in names
