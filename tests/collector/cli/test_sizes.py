"""Bytes and numbers as people read them."""

import pytest

from fluxforge_collector.cli.sizes import counted, readable

SIZES = {0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 53_600_000: "51.1 MiB", 3 << 30: "3.00 GiB", 5 << 40: "5120.00 GiB"}


@pytest.mark.parametrize(("count", "text"), SIZES.items())
def test_the_unit_is_the_largest_there_is_one_of(count, text):
    assert readable(count) == text


@pytest.mark.parametrize(("count", "text"), {0: "0 rows", 1: "1 row", 2: "2 rows", 12_000: "12,000 rows"}.items())
def test_one_is_not_many(count, text):
    assert counted(count, "row") == text
