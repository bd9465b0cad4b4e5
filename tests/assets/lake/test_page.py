"""The reference page of the datasets is what the code says."""

from pathlib import Path

from fluxforge_assets.lake.page import datasets_page

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "datasets.md"


def test_the_page_is_in_step():
    assert PAGE.read_text(encoding="utf-8") == datasets_page().rstrip() + "\n"
