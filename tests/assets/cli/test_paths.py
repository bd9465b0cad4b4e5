"""A word on the command line is a path or a name of the lake's, so that what is missing is called what it is."""

import pytest

from fluxforge_assets.cli.paths import is_path
from fluxforge_assets.lake.reading import known_assets


@pytest.mark.parametrize("text", ["/x", "./x", "~/x", "s3://b/x", "lake/raw/archive/ccxt/frames"])
def test_a_path_is_one_whether_it_is_there_or_not(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_path(text)


def test_the_names_of_assets_are_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not [name for name in (*known_assets(), "gold/bar", "bars") if is_path(name)]
