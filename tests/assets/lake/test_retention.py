"""Retention: only what a rule names goes, bronze only behind its silver, and what goes leaves the rest usable."""

import pytest
from pydantic import ValidationError
from support.market import DAY, NOON_US, SECOND, deliver, records, seal

from fluxforge_assets.lake.advance import replace
from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.marks import mark, marks, settle
from fluxforge_assets.lake.retention import Expired, Kept, delete, expired
from fluxforge_assets.lake.update import places_of, recipe_of, update
from fluxforge_collector.config.model import Retention
from fluxforge_collector.errors import DataError

NEXT = "2026-11-21"
DAY_US = 86_400 * SECOND
MIDNIGHT_US = (NOON_US // DAY_US + 1) * DAY_US


@pytest.fixture
def filled(tmp_path, lake, config):
    """A lake with the last half minute of a day, and the first of the next; all of it computed."""
    made = records(1, start_us=MIDNIGHT_US - 30 * SECOND, seconds=60, gaps=0.05)
    deliver(tmp_path / "staging", lake.root, seal(tmp_path / "staging", made, until_us=MIDNIGHT_US + 60 * SECOND))
    land(lake, "ccxt")
    for day in (DAY, NEXT):
        list(update(lake, config, "ccxt", day))
    for known in marks(lake):
        settle(lake, known, is_complete=True)
    return lake


def named(lake, rules, days_later):
    """What rules name some days after the first date's end."""
    return list(expired(lake, rules, now_us=MIDNIGHT_US + days_later * DAY_US + 3600 * SECOND))


def files(lake):
    return {str(path.relative_to(lake.root)) for path in lake.root.glob("[rp]*/**/*") if path.is_file()}


def test_without_a_rule_nothing_is_named(filled):
    assert named(filled, Retention(), 10_000) == []
    assert not Retention().has_rule


@pytest.mark.parametrize(
    ("days", "later", "dates"), [(1, 0, set()), (1, 1, {DAY}), (1, 2, {DAY, NEXT}), (3, 2, set()), (3, 3, {DAY})]
)
def test_silver_goes_after_its_days(filled, days, later, dates):
    found = named(filled, Retention(keep_silver_days=days), later)
    assert {one.partition.split("|")[0] for one in found} == dates
    assert all(one.what.startswith("silver/") for one in found)


def test_deleting_takes_what_was_named_and_nothing_else(filled):
    before = files(filled)
    found = named(filled, Retention(keep_gold_days=1), 1)
    assert {one.what for one in found} == {"gold/bars"}
    for one in found:
        delete(filled, one)
    gone = before - files(filled)
    assert gone
    assert all("orderbook/bars" in name and f"date={DAY}" in name for name in gone)
    assert len(gone) == sum(one.files for one in found)
    assert named(filled, Retention(keep_gold_days=1), 1) == []
    assert list(filled.work.glob("build-*")) == []


def test_bronze_stays_a_day_longer_for_the_look_back(filled):
    assert named(filled, Retention(keep_raw_days=1), 1) == []
    found = named(filled, Retention(keep_raw_days=1), 2)
    assert {(one.what, one.partition) for one in found} == {
        (f"bronze/{c}", DAY) for c in ("orderbook", "trades", "ticker")
    }
    assert all(isinstance(one, Expired) for one in found)


def test_the_first_kept_day_can_be_computed_again(filled, config):
    rules = Retention(keep_raw_days=1)
    for one in named(filled, rules, 2):
        delete(filled, one)
    gaps = list(filled.raw.glob(f"archive/ccxt/gaps/date={DAY}/*"))
    assert gaps, "the ledger stays"
    assert list(filled.raw.glob(f"archive/ccxt/date={DAY}/*.json")), "manifests stay"
    before = files(filled)
    for place in places_of(filled, "ccxt", DAY):
        with pytest.raises(DataError, match="is not there"):
            replace(filled, recipe_of("silver/trades", filled, config, "ccxt"), place)
    assert files(filled) == before, "what cannot be made again is not replaced by nothing"


def test_bronze_stays_where_its_silver_is_missing(filled):
    place = places_of(filled, "ccxt", DAY)[0]
    for path in filled.partition(place, "trades").iterdir():
        path.unlink()
    found = {one.what: one for one in named(filled, Retention(keep_raw_days=1), 2)}
    assert isinstance(found["bronze/trades"], Kept)
    assert place.instrument.key in found["bronze/trades"].reason
    assert isinstance(found["bronze/orderbook"], Expired)


def test_bronze_stays_while_segments_wait(filled):
    mark(filled, "ccxt", DAY)
    assert all("still wait" in one.reason for one in named(filled, Retention(keep_raw_days=1), 2))


def test_gold_is_not_replaced_by_nothing_once_silver_is_gone(filled, config):
    for one in named(filled, Retention(keep_silver_days=1), 1):
        delete(filled, one)
    before = files(filled)
    with pytest.raises(DataError, match="nothing is left to compute gold/bars"):
        replace(filled, recipe_of("gold/bars", filled, config, "ccxt"), places_of(filled, "ccxt", DAY)[0])
    assert files(filled) == before


@pytest.mark.parametrize("silver", [1, 30])
def test_rules_that_could_never_hold_are_refused(silver):
    with pytest.raises(ValidationError, match="must be more than keep_raw_days"):
        Retention(keep_raw_days=30, keep_silver_days=silver)
