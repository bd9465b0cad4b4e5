"""`fluxforge coverage`: a table, JSON and a calendar, over a small lake."""

import json

import pytest
from matplotlib.image import imread
from support.market import DAY

from fluxforge_assets.cli.coverage import command, percent
from fluxforge_collector.errors import FluxForgeError


def coverage(*arguments):
    command.main(list(arguments), standalone_mode=False)


def test_a_line_per_instrument_day_and_one_for_all(lake, configure, capsys):
    coverage()
    head, *lines, total = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["instrument", "date"]
    assert [line.split()[0] for line in lines] == ["binanceus:BTC-USDT", "binanceus:ETH-USDT", "okx:BTC-USDT_USDT"]
    assert all(line.split()[1] == DAY for line in lines)
    assert total.startswith("3 instrument-days: ")


def test_json_adds_up(lake, configure, capsys):
    coverage("--json", "--exchange", "okx", "--channel", "trades")
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["instrument"], row["channel"], row["is_proven"]) == ("okx:BTC-USDT_USDT", "trades", False)
    whole = row["covered_seconds"] + row["gap_seconds"] + row["not_collected_seconds"]
    assert whole == pytest.approx(row["seconds"])
    assert row["covered_seconds"] == pytest.approx(20, abs=3)


@pytest.mark.parametrize("form", ["png", "svg", "html"])
def test_the_calendar_is_a_picture(lake, configure, tmp_path, form):
    out = tmp_path / f"calendar.{form}"
    coverage("--calendar", str(out))
    if form == "png":
        assert imread(out).shape[0] > 100
    else:
        text = out.read_text()
        assert "okx:BTC-USDT_USDT" in text
        assert "proven complete" in text


@pytest.mark.parametrize(
    ("share", "text"), [(1.0, "100.000%"), (0.9999999, "99.999%"), (0.5, "50.000%"), (0.0, "0.000%")]
)
def test_what_is_not_all_never_reads_as_all(share, text):
    assert percent(share).strip() == text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--symbol", "BTC-USD"], "did you mean"),
        (["--exchange", "binance"], "did you mean"),
        (["--instrument", "okx:ETH-USDT"], "did you mean"),
        (["--from", "2026-11-21"], "nothing has landed"),
        (["--to", "2999-01-01"], "has not begun"),
        (["--calendar", "x.gif"], "no picture"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_meant_is_refused(lake, configure, arguments, said):
    with pytest.raises(FluxForgeError, match=said):
        coverage(*arguments)
