"""Scenarios: read from a file, drawn from a seed, and played by the running exchange."""

import pytest

from fluxforge_collector.errors import ConfigError
from fluxforge_collector.simulator import Simulator, SimulatorOptions
from fluxforge_collector.simulator.faults import KINDS
from fluxforge_collector.simulator.scenario import Step, draw_soak, read_scenario


def test_a_scenario_is_read_in_order(tmp_path):
    file = tmp_path / "rough.yaml"
    file.write_text("faults:\n- {at_s: 2, kind: drop, exchange: okx, count: 3}\n- {at_frame: 500, kind: abort}\n")
    first, second = read_scenario(file)
    assert first == Step("drop", exchange="okx", count=3, at_s=2)
    assert (second.kind, second.at_frame, str(first)) == ("abort", 500, "2.0 s: drop okx x3")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("faults: [{at_s: 1, kind: explode}]", "explode"),
        ("faults: [{at_s: 1, kind: drop, cuont: 3}]", "cuont"),
        ("faults: [{at_s: soon, kind: drop}]", "faults.0.at_s"),
        ("faults: [{kind: drop}]", "at_frame"),
        ("faults: [{kind: drop, at_s: 1, at_frame: 1}]", "either"),
        ("faults: [{kind: drop, at_s: -1}]", "before the start"),
        ("faults: [{kind: silence, at_s: 1, seconds: -1}]", "-1"),
        ("faults: [{kind: rest_error, at_s: 1, code: 200}]", "200"),
        ("faults: [{kind: close, at_s: 1, code: 7}]", "7"),
        ("faults: [{kind: delist, at_s: 1}]", "symbol"),
        ("steps: []", "steps"),
        ("faults: [", "rough.yaml"),
        ("- 1", "rough.yaml"),
    ],
)
def test_a_wrong_scenario_is_one_clear_error(text, named, tmp_path):
    file = tmp_path / "rough.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=named):
        read_scenario(file)
    with pytest.raises(ConfigError, match="nowhere"):
        read_scenario(tmp_path / "nowhere.yaml")


def test_how_often_is_said_only_of_what_waits_for_frames_or_requests():
    assert str(Step("rest_error", count=3, code=429, at_s=3)) == "3.0 s: rest_error any exchange x3 429"
    assert str(Step("clock_skew", exchange="okx", count=3, seconds=1.4, at_s=3)) == "3.0 s: clock_skew okx 1.4 s"


def test_a_soak_is_drawn_from_its_seed():
    drawn = [draw_soak(seed, ("okx", "binanceus"), ("BTC/USDT",), 1200.0) for seed in (3, 3, 4)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert {step.kind for step in drawn[0]} == set(KINDS) - {"delist"}
    times = [step.at_s for step in drawn[0]]
    assert times == sorted(times)
    assert times[-1] < 1200
    assert {"gap", "clock_skew", "delist"}.isdisjoint(
        step.kind for step in draw_soak(3, ("okx",), ("BTC/USDT",), 1200.0, is_played=True)
    )


@pytest.mark.asyncio
async def test_the_exchange_plays_its_scenario(client, watching, until):
    steps = (
        Step("drop", channel="trades", count=2, at_s=0),
        Step("close", code=1012, at_frame=20),
        Step("delist", symbol="BTC/USDT", at_frame=40),
    )
    options = SimulatorOptions(exchanges=("okx",), instruments=("BTC/USDT", "ETH/USDT"), speed=5, scenario=steps)
    async with Simulator(options) as sim, client(sim, "okx") as ex:
        calls = [lambda symbol=symbol: ex.watch_trades(symbol) for symbol in options.instruments]
        async with watching(*calls, lambda: ex.watch_order_book("ETH/USDT")) as (_, errors):
            await until(lambda: len(sim.truth.ordered) == 3)
        assert [truth.fault for truth in sim.truth.ordered] == list(steps)
        assert [truth.connections for truth in sim.truth.ordered] == [0, 1, 0]
        assert errors
        assert sim.truth.faults["drop"] == 2
