"""Curves in a line of a table: what Dagster shows in place is short, and is a picture."""

from urllib.parse import unquote
from xml.etree import ElementTree as ET

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from fluxforge_assets.defs.spark import MOST_CHARACTERS, spark

SVG = "{http://www.w3.org/2000/svg}"
VALUES = st.lists(st.floats(-1e9, 1e9) | st.just(float("nan")), max_size=300).map(np.array)


def picture(text):
    """The picture of a Markdown image with its data in the address."""
    return ET.fromstring(unquote(text.partition("(data:image/svg+xml,")[2].removesuffix(")")))


@given(st.dictionaries(st.sampled_from(["mid_close", "vol", "spread_bps"]), VALUES, min_size=1))
@example({"vol": np.array([0.0, 2.3e-308])})  # a pixel for each would be more than a number can hold
def test_any_curves_fit_and_are_a_picture_with_their_ranges(curves):
    text = spark(curves)
    assert len(text) <= MOST_CHARACTERS
    shown = picture(text)
    assert len(shown.findall(f"{SVG}path")) == len(curves)
    said = [label.text for label in shown.findall(f"{SVG}text")]
    for label, (name, values) in zip(said, curves.items(), strict=True):
        known = values[np.isfinite(values)]
        assert label == (f"{name} {known.min():.6g}..{known.max():.6g}" if len(known) else f"{name} none")


def test_a_curve_rises_where_its_values_do_and_breaks_where_there_is_none():
    (path,) = picture(spark({"mid": np.array([1.0, 2.0, np.nan, 1.0])})).findall(f"{SVG}path")
    assert path.get("d") == "M0,35h0l0,0,106,-30M318,35h0l0,0"


def test_what_is_too_long_for_a_picture_is_told_in_words():
    curves = {f"a_rather_long_name_of_column_{number}": np.array([1.0, 2.0]) for number in range(12)}
    assert spark(curves).startswith("a_rather_long_name_of_column_0 1..2, ")
