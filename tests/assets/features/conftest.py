"""Books and windows made by hand, and one feature of them by its column name."""

import numpy as np
import pytest

from fluxforge_assets.features import catalogue
from fluxforge_assets.features.books import Books
from fluxforge_assets.features.grouping import Grouped, Grouping
from fluxforge_assets.features.registry import STATIC, WINDOWS
from fluxforge_assets.features.window import Merged, Window
from fluxforge_collector.config.features import FeatureOptions


def plain(values):
    return [None if np.isnan(v) else float(v) for v in values]


def declared(registry, name, options):
    assert catalogue.FAMILY_FILES
    for feature in registry:
        if name in feature.bindings(options):
            return feature, feature.bindings(options)[name]
    raise KeyError(name)


@pytest.fixture
def make_books():
    """Books of rows: each a pair of sides, a side a list of (price, size) best first; None is a row without a book."""

    def make(*rows, **options):
        options = FeatureOptions(**options)
        arrays = {side: np.full((2, options.depth, len(rows)), np.nan) for side in ("bid", "ask")}
        levels = {side: np.zeros(len(rows), np.int64) for side in ("bid", "ask")}
        for column, row in enumerate(rows):
            for side, content in zip(("bid", "ask"), row or ((), ()), strict=True):
                levels[side][column] = len(content)
                for i, level in enumerate(content):
                    arrays[side][:, i, column] = level
        return Books(*arrays["bid"], *arrays["ask"], levels["bid"], levels["ask"], options)

    return make


@pytest.fixture
def static():
    """Values of one static column, None for null."""

    def compute(name, books):
        feature, binding = declared(STATIC, name, books.options)
        return plain(feature.compute(books, **binding))

    return compute


@pytest.fixture
def windowed():
    """One window feature of all rows given together; columns left out are 1 for counts, so that nothing is null."""

    def compute(name, rows, *, buckets=None, has_trades=True, **options):
        options = FeatureOptions(**options)
        n = len(next(iter(rows.values())))
        columns = {count: np.ones(n) for count in ("n_book", "n_pair", "n_trade", "lag_n", "dur_n")}
        columns |= {key: np.array(values, float) for key, values in rows.items()}
        length = buckets or n
        merged = Merged(columns, Grouped([Grouping(length, 0, np.array([0]))]), options, has_trades)
        feature, binding = declared(WINDOWS, name, options)
        return plain(feature.compute(Window(merged, length, length), **binding))[0]

    return compute
