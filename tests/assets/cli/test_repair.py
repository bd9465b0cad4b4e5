"""`fluxforge repair` shows first, mends when told, and no command calls a lake well that is not there."""

import json

import pytest
from support.damage import claim_without_manifest
from support.lakes import files_below

pytestmark = pytest.mark.usefixtures("configure")


def test_it_shows_first_and_mends_when_told(lake, typed):
    claim_without_manifest(lake)
    before = files_below(lake)
    code, said, _ = typed("repair")
    assert code == 1
    assert "a copy of what has landed: move it aside (would be done)" in said
    assert said.endswith("1 fault, 0 mended; nothing was changed: --apply mends\n")
    assert files_below(lake) == before
    code, said, _ = typed("repair", "--apply", "--json")
    assert (code, json.loads(said)["mended"]) == (0, True)
    assert typed("repair") == (0, "nothing is wrong\n", "")


@pytest.mark.parametrize(
    ("dates", "said"),
    [
        (["--from", "2026-13-01"], "is no date"),
        (["--from", "2026-11-20", "--to", "2026-11-01"], "exchange the two"),
    ],
    ids=["no date", "the wrong way round"],
)
@pytest.mark.parametrize("command", ["repair", "convert"])
def test_dates_that_cannot_be_meant_are_refused(typed, command, dates, said):
    code, out, err = typed(command, *dates)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["repair"],
        ["compact"],
        ["compact", "--dry-run"],
        ["convert"],
        ["retention"],
        ["backfill", "--all"],
        ["prune", "--removed"],
    ],
    ids=" ".join,
)
def test_a_lake_that_is_not_there_is_no_lake_in_order(typed, tmp_path, monkeypatch, arguments):
    monkeypatch.setenv("FLUXFORGE__LAKE__ROOT", str(tmp_path / "laek"))
    monkeypatch.setenv("FLUXFORGE__RETENTION__KEEP_SILVER_DAYS", "1")
    code, out, err = typed(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"there is no lake at {tmp_path / 'laek'} — check lake.root" in err
