"""The real-time job: land what waits, append what became final to silver and gold, and stay for what comes next.

It is a job of ops, not of assets, because it touches any set of instruments in one run and logs an event only for a
partition that changed; an asset run covers a rectangle of partitions and costs two events for each. It stays because
starting a process costs as much as computing a minute of fifty instruments, and what it has read stays in memory.
"""

import time
from collections.abc import Collection, Generator, Iterator

import dagster as dg

from fluxforge_assets.defs.bronze import instruments_of, report
from fluxforge_assets.defs.failing import failing_plainly
from fluxforge_assets.defs.liveness import living_executor
from fluxforge_assets.defs.partitions import check_date, register, today
from fluxforge_assets.defs.resources import LakeResource
from fluxforge_assets.defs.telling import Untold
from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.compaction import NotCompacted
from fluxforge_assets.lake.landing import dates_waiting, land
from fluxforge_assets.lake.marks import Mark, mark, mark_gold, marks
from fluxforge_assets.lake.paths import Lake
from fluxforge_assets.lake.recipe import Change
from fluxforge_assets.lake.tidying import Untidy
from fluxforge_assets.lake.update import KEEP_BYTES, to_update, update, updated
from fluxforge_collector.config.load import load_config
from fluxforge_collector.config.model import Config
from fluxforge_collector.errors import FluxForgeError

REALTIME = "realtime"
PARTLY_FAILED = "fluxforge/failed"
"""The tag of a run that failed for some segments or partitions, how many, and did the rest."""
GRACE_SECONDS = 1800
"""How long after its time Dagster ends a run of which no process is left to tell, as of a container that is gone."""
LOOK_SECONDS = 0.5
"""How often a run that stays looks for new segments."""


def realtime_job(config: Config) -> dg.JobDefinition:
    """Bring the dates that have work up to date, and go on doing so for `etl.stay_seconds`."""

    @dg.op(config_schema={"date": dg.Field(str, is_required=False)}, pool="realtime")
    def follow_segments(context: dg.OpExecutionContext, lake: LakeResource) -> None:
        """Land, then append what became final; late data builds its range again. With a date: that one, once."""
        chosen = {check_date(context.op_config["date"])} if "date" in context.op_config else None
        with failing_plainly():
            _follow(context, lake.open(), config, chosen)

    @dg.job(
        name=REALTIME,
        executor_def=living_executor,
        description="Lands what the collector sealed and appends what became final. Started by the sensor; it stays.",
        tags={"dagster/priority": "10", "dagster/max_runtime": str(int(config.etl.stay_seconds + GRACE_SECONDS))},
    )
    def realtime() -> None:
        follow_segments()

    return realtime


def _follow(context: dg.OpExecutionContext, lake: Lake, config: Config, chosen: set[str] | None) -> None:
    """Catch up, and again with what comes, until it is time to end; whatever happens, Dagster is told what changed."""
    archives: dict[str, Archive] = {}
    untold, untidy = Untold(context, lake, config, archives), Untidy(lake, config.compaction)
    until = time.monotonic() + (0.0 if chosen else config.etl.stay_seconds)
    try:
        while True:
            for change in _catch_up(context, lake, config, archives, untold, chosen or dates_to_run(lake)):
                untold.changed(change)
                untidy.changed(change)
            if not _comes_more(context, lake, config, untold, untidy, until):
                return
    finally:
        untold.tell_all()


def dates_to_run(lake: Lake) -> set[str]:
    """Dates with segments waiting to be landed, or landed by a run that did not finish."""
    return dates_waiting(lake, today()) | {known.date for known in marks(lake) if known.is_dirty}


def _comes_more(
    context: dg.OpExecutionContext, lake: Lake, config: Config, untold: Untold, untidy: Untidy, until: float
) -> bool:
    """Wait for segments; meanwhile tell what is due, and merge what has become many. False once it is time to end."""

    def is_waiting() -> bool:
        return bool(dates_waiting(lake, today()))

    while True:
        untold.tell_due(is_waiting)
        for one in untidy.tidy(is_waiting):
            if isinstance(one, NotCompacted):
                context.log.warning("parts of %s %s stay many: %s", one.what, one.partition, one.error)
        if time.monotonic() >= until or not _is_current(config):
            return False
        if is_waiting():
            return True
        time.sleep(LOOK_SECONDS)


def _is_current(config: Config) -> bool:
    """Whether the configuration is still this one; with one that cannot be read no other run could start."""
    try:
        return load_config() == config
    except FluxForgeError:
        return True


def _catch_up(
    context: dg.OpExecutionContext,
    lake: Lake,
    config: Config,
    archives: dict[str, Archive],
    untold: Untold,
    dates: Collection[str],
) -> Iterator[Change]:
    """Land and append once; what changed. Raises: dagster.Failure where something failed, once the rest is done."""
    failed: list[str] = []
    marked: list[Mark] = []
    for source in lake.sources():
        archive = archives.setdefault(source, Archive(lake, source, keep_bytes=KEEP_BYTES))
        landed = land(lake, source, dates, max_tries=config.etl.max_tries)
        report(context, landed)
        failed += [f"segment {name}: {reason}" for name, reason in landed.failed.items()]
        marked += to_update(lake, archive)
        for date in {manifest.date for manifest in landed.manifests}:
            register(context.instance, instruments_of([archive], date))
            untold.landed(date)
    for known in [m for m in marked if m.date <= max(dates, default=m.date)]:
        errors = yield from _append(context, lake, config, known, archives[known.source])
        mark_gold(lake, known.source, known.date)
        if errors:
            mark(lake, known.source, known.date)
        else:
            updated(lake, known)
        failed += errors
    if failed:
        context.instance.add_run_tags(context.run_id, {PARTLY_FAILED: str(len(failed))})
        raise dg.Failure(f"{len(failed)} failed; first: {failed[0]}", allow_retries=False)


def _append(
    context: dg.OpExecutionContext, lake: Lake, config: Config, known: Mark, archive: Archive
) -> Generator[Change, None, list[str]]:
    """Advance a date's partitions, and give out what changed; returns what failed, as text."""
    failed: list[str] = []
    for outcome in update(lake, config, known.source, known.date, archive):
        if isinstance(outcome, Change):
            yield outcome
            continue
        said = f"{outcome.asset} {known.date}|{outcome.place.instrument.key}: {outcome.error}"
        if outcome.is_set_aside:
            context.log.error("set aside after %d tries, until it is materialised: %s", config.etl.max_tries, said)
            continue
        failed.append(said)
        context.log.error(said)
    return failed
