import numpy as np
import pytest

from fluxforge_assets.gold.ofi_integrated import (
    Moments,
    by_day,
    compute_ofi_integrated,
    day_moments,
    ofi_integrated_columns,
)
from fluxforge_collector.config.features import FeatureOptions
from fluxforge_collector.errors import DataError

S = 1_000_000
DAY = 86_400 * S
D0 = 20_000 * DAY
OPTIONS = FeatureOptions(max_levels=3, ofi_levels=3, pca_min_rows=30, pca_days=3)


def day(silver, number, flows, depth=2.0):
    """One day of rows a minute apart; a flow of None is a row without a pair."""
    return silver(
        D0 + number * DAY,
        {
            60 * (k + 1): {}
            if f is None
            else {"n_book": 1, "n_pair": 1, "depth_lk_mean": depth, "ofi_l0": f[0], "ofi_l1": f[1], "ofi_l2": f[2]}
            for k, f in enumerate(flows)
        },
    )


@pytest.fixture
def flows():
    """Three days of correlated flows of three ranks."""
    rng = np.random.default_rng(20_261_124)
    common = rng.normal(0, 5, (3, 50, 1))
    return common * [1.0, 0.7, 0.4] + rng.normal(0, 1, (3, 50, 3)) + 10


def test_loadings_are_those_of_numpy_on_the_raw_matrix(silver, flows):
    training = [day_moments(day(silver, n, flows[n]), OPTIONS) for n in range(3)]
    today = day(silver, 3, [(3.0, -1.0, 2.0), None, (0.0, 0.0, 0.0)])
    table = compute_ofi_integrated(today, training, options=OPTIONS)

    raw = flows.reshape(-1, 3) / 2.0
    values, vectors = np.linalg.eigh(np.cov(raw, rowvar=False))
    weights = vectors[:, -1] * np.sign(vectors[:, -1].sum())
    weights /= np.abs(weights).sum()
    assert table["ofi_int"][0] == pytest.approx(weights @ np.array([3.0, -1.0, 2.0]) / 2.0, rel=1e-9)
    assert table["ofi_int"][1] is None, "no pair, no flow"
    assert table["ofi_int"][2] == 0.0
    assert table["ofi_int_share"].to_list() == pytest.approx([values[-1] / values.sum()] * 3, rel=1e-9)


def test_merged_days_equal_one_pass_over_all_rows(silver, flows):
    whole = Moments.of(flows.reshape(-1, 3))
    merged = Moments.of(flows[0]).merge(Moments.of(flows[1])).merge(Moments.of(flows[2]))
    assert merged.n == whole.n
    np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(merged.comoment, whole.comoment, rtol=1e-10)


def test_an_empty_day_merges_as_nothing(flows):
    some, none = Moments.of(flows[0]), Moments.of(np.empty((0, 3)))
    for merged in (some.merge(none), none.merge(some)):
        assert merged.n == some.n
        np.testing.assert_array_equal(merged.mean, some.mean)
        np.testing.assert_array_equal(merged.comoment, some.comoment)
    assert none.merge(none).n == 0


def test_too_few_training_rows_give_null(silver, flows):
    training = [day_moments(day(silver, 0, flows[0][:29]), OPTIONS)]
    table = compute_ofi_integrated(day(silver, 1, flows[1]), training, options=OPTIONS)
    assert table["ofi_int"].null_count() == table["ofi_int_share"].null_count() == 50
    assert compute_ofi_integrated(day(silver, 1, flows[1]), [], options=OPTIONS)["ofi_int"].null_count() == 50
    enough = [day_moments(day(silver, 0, flows[0][:30]), OPTIONS)]
    assert compute_ofi_integrated(day(silver, 1, flows[1]), enough, options=OPTIONS)["ofi_int"].null_count() == 0


def test_a_market_that_never_flowed_gives_null(silver):
    training = [day_moments(day(silver, 0, [(0.0, 0.0, 0.0)] * 40), OPTIONS)]
    table = compute_ofi_integrated(day(silver, 1, [(1.0, 1.0, 1.0)]), training, options=OPTIONS)
    assert table.row(0)[3:] == (None, None)


def test_weights_add_to_one_in_absolute_value_and_do_not_depend_on_scale(silver, flows):
    training = [day_moments(day(silver, n, flows[n]), OPTIONS) for n in range(3)]
    scaled = [day_moments(day(silver, n, flows[n] * 4, depth=8.0), OPTIONS) for n in range(3)]
    today = day(silver, 3, [(1.0, 1.0, 1.0), (5.0, 2.0, -3.0)])
    first = compute_ofi_integrated(today, training, options=OPTIONS)
    second = compute_ofi_integrated(day(silver, 3, [(4.0, 4.0, 4.0), (20.0, 8.0, -12.0)], 8.0), scaled, options=OPTIONS)
    assert first["ofi_int"].to_list() == pytest.approx(second["ofi_int"].to_list(), rel=1e-12)
    assert first["ofi_int"][0] == pytest.approx(0.5), "all loadings positive: Σw = 1, flow 1, depth 2"


def test_days_are_those_of_the_bucket_start(silver):
    rows = silver(D0, {0: {}, 1: {}, 86_400: {}})
    days = by_day(rows, OPTIONS)
    assert {number: frame.height for number, frame in days.items()} == {19_999: 1, 20_000: 2}


def test_the_table_is_what_was_declared(silver):
    table = compute_ofi_integrated(day(silver, 0, [None]), [], options=OPTIONS)
    assert table.columns == [c.name for c in ofi_integrated_columns(OPTIONS)]
    assert table.row(0)[3:] == (None, None)


def test_silver_of_fewer_ranks_is_one_clear_error(silver):
    with pytest.raises(DataError, match="ofi_l3"):
        compute_ofi_integrated(day(silver, 0, [None]), [], options=FeatureOptions(ofi_levels=4))
