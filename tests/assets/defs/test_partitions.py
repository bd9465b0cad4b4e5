"""What is said of a partition key that names none, by Dagster's command line and by a run."""

import click
import dagster as dg
import pytest
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.instance.types import CachingDynamicPartitionsLoader

from fluxforge_assets.defs.partitions import UnknownKeyError, dates, instrument_dates, instruments, register, today

FUTURE = "2099-01-01 has not begun — today is "
EARLY = "it lies before etl.start_date 2026-11-01 — set an earlier one"
UNKNOWN = {
    "no instrument": ("2026-11-20", "it names no instrument — write it like 2026-11-24|binanceus:BTC-USDT"),
    "unknown instrument": ("2026-11-20|binanceus:BTC-USD", "did you mean binanceus:BTC-USDT?"),
    "two instruments": ("2026-11-20|binanceus:BTC-USDT|binanceus:BTC-USDT", "there is no instrument"),
    "ccxt's symbol": ("2026-11-20|binanceus:BTC/USDT", "write 2026-11-20|binanceus:BTC-USDT"),
    "future": ("2099-01-01|binanceus:BTC-USDT", FUTURE),
    "too early": ("2026-10-31|binanceus:BTC-USDT", EARLY),
    "no date": ("20.11.2026|binanceus:BTC-USDT", "'20.11.2026' is no date — write it like 2026-11-24"),
    "other spelling": ("2026-11-7|binanceus:BTC-USDT", "write 2026-11-07"),
    "empty": ("", "it names no instrument"),
}
UNKNOWN_DATES = {"instrument": "2026-11-20|okx:A-B", "future": "2099-01-01", "too early": "2026-10-31", "empty": ""}


@pytest.fixture
def known(instance):
    """Dagster's context, in which one instrument is a partition."""
    register(instance, {"binanceus:BTC-USDT"})
    with partition_loading_context(dynamic_partitions_store=instance) as context:
        yield context


@pytest.mark.parametrize(("key", "said"), UNKNOWN.values(), ids=UNKNOWN)
def test_a_key_that_names_no_partition_is_told_why(config, known, key, said):
    with pytest.raises(UnknownKeyError) as refused:
        instrument_dates(config).validate_partition_key(key, known)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("key", UNKNOWN_DATES.values(), ids=UNKNOWN_DATES)
def test_a_date_that_is_none_is_told_why(config, known, key):
    with pytest.raises(UnknownKeyError, match=r"partition '.*': .* — "):
        dates(config).validate_partition_key(key, known)


def test_a_home_that_knows_no_instrument_is_told_so(config, instance):
    with (
        partition_loading_context(dynamic_partitions_store=instance) as context,
        pytest.raises(UnknownKeyError, match="knows no instrument yet — set DAGSTER_HOME"),
    ):
        instrument_dates(config).validate_partition_key("2026-11-20|okx:A-B", context)


@pytest.mark.parametrize("date", ["2026-11-01", "2026-11-20", today()])
def test_what_is_there_passes_and_is_there_for_dagster_too(config, known, date):
    instrument_dates(config).validate_partition_key(f"{date}|binanceus:BTC-USDT", known)
    assert instrument_dates(config).has_partition_key(f"{date}|binanceus:BTC-USDT")
    dates(config).validate_partition_key(date, known)
    assert dates(config).has_partition_key(date)


@pytest.mark.parametrize("key", ["2026-11-20|binanceus:NO-SUCH", "2026-11-20", "2099-01-01|binanceus:BTC-USDT"])
@pytest.mark.parametrize("asset", ["silver/trades", "gold/bars", "compaction/silver_trades"])
def test_a_run_for_what_is_no_partition_says_so(defs, instance, asset, key):
    """GraphQL launches it: the webserver checks the keys of a backfill, and not those of a run."""
    register(instance, {"binanceus:BTC-USDT"})
    run = dg.materialize(
        [a for a in defs.assets if isinstance(a, dg.AssetsDefinition)],
        selection=dg.AssetSelection.assets(asset.split("/")),
        instance=instance,
        resources=defs.resources,
        tags={"dagster/partition": key},
        raise_on_error=False,
    )
    (failure,) = [event.step_failure_data for event in run.all_events if event.is_step_failure]
    assert f"UnknownKeyError: partition '{key}': " in failure.error.message


class Asked(CachingDynamicPartitionsLoader):
    """Dagster's instance, which tells how often it was asked for its instruments."""

    def __init__(self, instance):
        super().__init__(instance)
        self.queries = 0

    def get_dynamic_partitions(self, partitions_def_name):
        self.queries += 1
        return self._instance.get_dynamic_partitions(partitions_def_name)

    def has_dynamic_partition(self, partitions_def_name, partition_key):
        self.queries += 1
        return self._instance.has_dynamic_partition(partitions_def_name, partition_key)


@pytest.mark.usefixtures("known")
def test_a_run_asks_for_instruments_no_more_often_than_dagster_would(config, instance):
    """A run is asked for its keys with every partition that it tells of, and each question is a query."""
    theirs = dg.MultiPartitionsDefinition({"date": dates(config), "instrument": instruments})
    span = dg.PartitionKeyRange("2026-11-19|binanceus:BTC-USDT", "2026-11-20|binanceus:BTC-USDT")
    counts = []
    for made in (instrument_dates(config), theirs):
        store = Asked(instance)
        assert made.get_partition_keys_in_range(span, store) == [span.start, span.end]
        counts.append(store.queries)
    assert counts[0] == counts[1] > 0


def test_dagster_and_its_command_line_both_know_the_error():
    """One that Dagster's command line catches itself would become its own, which names no reason."""
    assert issubclass(UnknownKeyError, dg.DagsterError)
    assert issubclass(UnknownKeyError, click.ClickException)
    assert not issubclass(UnknownKeyError, dg.DagsterUnknownPartitionError)


@pytest.mark.usefixtures("known")
def test_the_page_and_the_daemon_see_dagsters_own_partitions(config):
    """They make the definitions anew from their snapshots; both sides must agree what a partition is."""
    ours, theirs = instrument_dates(config), dg.DailyPartitionsDefinition("2026-11-01", timezone="UTC", end_offset=1)
    remade = dg.MultiPartitionsDefinition(
        {"date": theirs, "instrument": dg.DynamicPartitionsDefinition(name="instruments")}
    )
    assert ours == remade
    assert ours.get_serializable_unique_identifier() == remade.get_serializable_unique_identifier()
