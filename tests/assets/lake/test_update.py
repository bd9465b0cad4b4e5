"""What a run takes up and what it settles, while another lands: no segment is settled that was not seen."""

from concurrent.futures import ThreadPoolExecutor

from support.market import NOON_US, deliver, records, seal

from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.marks import marks
from fluxforge_assets.lake.update import to_update, updated
from fluxforge_collector.segments.names import DAY_US

DATES = 12


def test_what_another_lands_meanwhile_is_taken_up_by_the_next(tmp_path, lake):
    """As on a cluster, or beside bronze that somebody materialises: late dates, each marked and settled once for ever."""
    staging = tmp_path / "staging"
    manifests = [
        manifest
        for day in range(DATES)
        for manifest in seal(staging, records(day, start_us=NOON_US + day * DAY_US, seconds=2))
    ]
    archive, seen = Archive(lake, "ccxt"), set()

    def land_all():
        for manifest in reversed(manifests):
            deliver(staging, lake.root, [manifest])
            assert land(lake, "ccxt").manifests

    with ThreadPoolExecutor(1) as pool:
        landing = pool.submit(land_all)
        while not landing.done() or any(known.is_dirty for known in marks(lake)):
            for known in [m for m in to_update(lake, archive) if m.is_dirty]:
                seen |= {name.id for name in archive.names(known.date)}
                updated(lake, known)
        landing.result()
    assert seen == {manifest.id for manifest in manifests}
