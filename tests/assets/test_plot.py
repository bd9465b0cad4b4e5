import io

import numpy as np
import polars as pl
import pytest
from matplotlib.image import imread

from fluxforge_assets.plots import depth_figure, features_figure, mid_figure, render, small_plot
from fluxforge_collector.cli import main
from fluxforge_collector.errors import DataError

S = 1_000_000
T0 = 1_760_000_000 * S
LEVELS = pl.List(pl.Struct({"price": pl.Float64, "size": pl.Float64}))


def silver(count=600, symbol="AAA-USD", start=T0):
    rng = np.random.default_rng(7)
    mid = 100 + np.cumsum(rng.normal(0, 0.02, count))
    frame = {
        "exchange": ["demo"] * count,
        "symbol": [symbol] * count,
        "ts": [start + (k + 1) * S for k in range(count)],
        "mid": mid,
        "mid_first": mid - 0.005,
        "mid_min": mid - 0.02,
        "mid_max": mid + 0.02,
        "imb_l0": rng.uniform(-1, 1, count),
        "vol": rng.exponential(2, count),
        "buy_vol": rng.exponential(1, count),
        "sell_vol": rng.exponential(1, count),
    }
    for i in range(3):
        frame |= {f"bid_price_l{i}": np.round(mid - 0.01 * (i + 1), 2), f"bid_size_l{i}": rng.exponential(5, count)}
        frame |= {f"ask_price_l{i}": np.round(mid + 0.01 * (i + 1), 2), f"ask_size_l{i}": rng.exponential(5, count)}
    return pl.DataFrame(frame)


def bars(count=50, bar_us=60 * S):
    rows = silver(count)
    return rows.select(
        "exchange",
        "symbol",
        (T0 // bar_us + pl.int_range(1, pl.len() + 1)).mul(bar_us).alias("ts"),
        pl.lit(bar_us).alias("bar_us"),
        pl.col("mid_first").alias("mid_open"),
        pl.col("mid_max").alias("mid_high"),
        pl.col("mid_min").alias("mid_low"),
        pl.col("mid").alias("mid_close"),
        "vol",
        "buy_vol",
        "sell_vol",
    )


def bronze(count=50):
    def side(sign, k):
        return [{"price": round(100 + sign * 0.01 * (i + 1) + k / 1000, 3), "size": 1.0 + i} for i in range(5)]

    return pl.DataFrame(
        {
            "exchange": ["demo"] * count,
            "symbol": ["AAA/USD"] * count,
            "capture_ts": [T0 + k * S // 5 for k in range(count)],
            "bids": [side(-1, k) for k in range(count)],
            "asks": [side(1, k) for k in range(count)],
        },
        schema_overrides={"bids": LEVELS, "asks": LEVELS},
    ).with_columns(pl.from_epoch("capture_ts", "us").dt.replace_time_zone("UTC"))


def picture(data):
    """Pixels of a PNG, height × width × 3."""
    return imread(io.BytesIO(data), format="png")[..., :3]


def share_of(pixels, colour):
    """Share of pixels near a colour given as `#rrggbb`."""
    wanted = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return float((np.abs(pixels - wanted).max(axis=-1) < 0.08).mean())


def test_candles_show_what_rose_and_what_fell():
    pixels = picture(render(mid_figure(None, bars(), title="x"), "png"))
    assert pixels.shape[1] > 900
    assert share_of(pixels, "#1f7a5c") > 0.005
    assert share_of(pixels, "#c2452d") > 0.005


def test_only_rising_bars_have_no_falling_colour():
    rising = bars().with_columns(mid_open=pl.col("mid_low"), mid_close=pl.col("mid_high")).drop("buy_vol", "sell_vol")
    pixels = picture(render(mid_figure(None, rising), "png"))
    assert share_of(pixels, "#c2452d") < 1e-4


def test_many_bars_become_a_band():
    assert share_of(picture(render(mid_figure(None, bars(900, S)), "png")), "#22577a") > 0.001


def test_a_break_in_the_data_is_a_break_in_the_line():
    rows = pl.concat([silver(60), silver(60, start=T0 + 600 * S)])
    (axes,) = mid_figure(rows).axes
    (line,) = axes.get_lines()
    assert np.isnan(line.get_ydata()).sum() == 1


def test_thinning_keeps_the_extremes():
    rows = silver(30_000).with_columns(mid=pl.when(pl.col("ts") == T0 + 12_345 * S).then(500.0).otherwise("mid"))
    (axes,) = mid_figure(rows).axes
    drawn = axes.get_lines()[0].get_ydata()
    assert len(drawn) < 6000
    assert np.nanmax(drawn) == 500.0
    assert np.nanmin(drawn) == rows["mid"].min()


def test_feature_panels_carry_their_units_and_utc():
    figure = features_figure(silver(), ["imb_l0", "vol"], units={"imb_l0": "1", "vol": "base"})
    assert [a.get_ylabel() for a in figure.axes] == ["imb_l0", "vol\nbase"]
    assert figure.axes[-1].get_xlabel() == "time, UTC"


@pytest.mark.parametrize("frame", [silver(), bronze()], ids=["silver", "bronze"])
def test_depth_has_both_sides_and_their_sizes(frame):
    figure = depth_figure(frame, levels=3)
    axes, *colour_bars = figure.axes
    bids, asks = axes.collections
    assert bids.get_array().count() > 50
    assert asks.get_array().count() > 50
    assert [b.get_ylabel() for b in colour_bars] == ["bid size, base", "ask size, base"]
    pixels = picture(render(figure, "png"))
    assert (pixels[..., 2] - pixels[..., 0] > 0.2).mean() > 0.005, "blue bids"
    assert (pixels[..., 0] - pixels[..., 2] > 0.2).mean() > 0.005, "red asks"


def test_depth_averages_the_books_of_a_column():
    frame = bronze(1).select("exchange", "symbol", "capture_ts", "bids", "asks")
    figure = depth_figure(pl.concat([frame] * 1), levels=5)
    bids = figure.axes[0].collections[0].get_array()
    assert sorted(bids.compressed().tolist()) == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_svg_is_text_and_html_needs_no_other_file():
    figure = mid_figure(silver(), title="A & B")
    svg = render(figure, "svg").decode()
    assert svg.startswith("<?xml")
    assert ">time, UTC<" in svg
    page = render(figure, "html", title="<A>").decode()
    assert page.startswith("<!doctype html>")
    assert "&lt;A&gt;" in page
    assert "</svg>" in page
    assert "src=" not in page
    assert render(mid_figure(silver(), title="A & B"), "svg").decode() == svg, "the same data, the same bytes"


@pytest.mark.parametrize("frame", [silver(), bars(), silver().select("ts", "vol")], ids=["silver", "bars", "other"])
def test_the_small_plot_is_small_and_not_empty(frame):
    data = small_plot(frame)
    pixels = picture(data)
    assert pixels.shape[0] < 300
    assert pixels.shape[1] < 700
    assert len(data) < 60_000
    assert (pixels.min(axis=-1) < 0.6).mean() > 0.003


@pytest.mark.parametrize(
    "draw",
    [
        pytest.param(lambda: mid_figure(silver().with_columns(mid=pl.lit(None, pl.Float64))), id="no mid"),
        pytest.param(lambda: features_figure(silver(), ["nothing"]), id="no column"),
        pytest.param(lambda: features_figure(silver().clear(), ["vol"]), id="no rows"),
        pytest.param(lambda: depth_figure(silver().select("ts", "mid")), id="no levels"),
        pytest.param(lambda: depth_figure(bronze().clear()), id="no books"),
        pytest.param(lambda: small_plot(silver().select("exchange")), id="no number"),
    ],
)
def test_nothing_to_draw_is_one_clear_error(draw):
    with pytest.raises(DataError):
        draw()


@pytest.fixture
def folder(tmp_path):
    silver().write_parquet(tmp_path / "silver.parquet")
    pl.concat([bars(), bars(500, 5 * S)]).write_parquet(tmp_path / "bars.parquet")
    bronze().write_parquet(tmp_path / "book.parquet")
    (tmp_path / "text.parquet").write_text("no parquet")
    for symbol in ("AAA-USD", "BBB-USD"):
        part = tmp_path / "lake" / "exchange=demo" / f"symbol={symbol}" / "date=2025-10-09"
        part.mkdir(parents=True)
        silver(symbol=symbol).write_parquet(part / "part-0.parquet")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "out"),
    [
        (["silver.parquet"], "a.png"),
        (["silver.parquet", "--bar", "30", "--last", "5m"], "a.svg"),
        (["bars.parquet"], "a.html"),
        (["bars.parquet", "--bar", "5"], "a.png"),
        (["silver.parquet", "--columns", "imb_l0, vol"], "a.png"),
        (["silver.parquet", "--depth", "--levels", "2"], "a.png"),
        (["book.parquet", "--depth", "--symbol", "AAA-USD"], "a.png"),
        (["lake", "--symbol", "BBB/USD"], "a.png"),
        (["silver.parquet", "--from", "2025-10-09T08:54:00", "--to", str(T0 + 300 * S)], "a.png"),
    ],
)
def test_the_command_draws(folder, capsys, arguments, out):
    source, *options = arguments
    main(["plot", str(folder / source), *options, "--out", str(folder / out)])
    assert (folder / out).stat().st_size > 5000
    assert str(folder / out) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "out", "message"),
    [
        (["silver.parquet"], "a.pdf", ".png, .svg or .html"),
        (["none.parquet"], "a.png", "there is no"),
        (["text.parquet"], "a.png", "cannot read"),
        (["lake"], "a.png", "2 instruments"),
        (["lake", "--symbol", "CCC-USD"], "a.png", "nothing to plot"),
        (["silver.parquet", "--columns", "nope"], "a.png", "no column nope"),
        (["silver.parquet", "--last", "soon"], "a.png", "no length of time"),
        (["silver.parquet", "--from", "soon"], "a.png", "no time"),
        (["silver.parquet", "--from", str(T0 * 2)], "a.png", "nothing to plot"),
        (["bars.parquet", "--bar", "7"], "a.png", "no bars of 7 s"),
        (["bars.parquet", "--depth"], "a.png", "no book levels"),
        (["silver.parquet"], "no/a.png", "existing directory"),
    ],
)
def test_a_wrong_request_is_one_line_and_no_file(folder, capsys, arguments, out, message):
    source, *options = arguments
    with pytest.raises(SystemExit) as stop:
        main(["plot", str(folder / source), *options, "--out", str(folder / out)])
    assert stop.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert not (folder / out).exists()


def test_a_dataset_of_the_lake_by_its_name(tmp_path):
    folder = (
        tmp_path / "processed" / "ccxt" / "orderbook" / "hf" / "exchange=demo" / "symbol=AAA-USD" / "date=2025-10-09"
    )
    folder.mkdir(parents=True)
    silver().write_parquet(folder / f"part-{T0}-{T0 + 600 * S}-0123456789ab.parquet")
    config = tmp_path / "fluxforge.yaml"
    config.write_text(f"lake: {{root: {tmp_path}}}\n")
    main(["plot", "silver/orderbook", "--symbol", "AAA/USD", "--config", str(config), "--out", str(tmp_path / "a.png")])
    assert picture((tmp_path / "a.png").read_bytes()).shape[1] > 900
