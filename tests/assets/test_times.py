import pytest

from fluxforge_assets.cli.times import instant_us, length_us
from fluxforge_collector.errors import FluxForgeError


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("2026-11-24", 1_795_478_400_000_000),
        ("2026-11-24T00:00:01.5", 1_795_478_401_500_000),
        ("2026-11-24T02:00:00+02:00", 1_795_478_400_000_000),
        ("1795478400000000", 1_795_478_400_000_000),
        (None, None),
    ],
)
def test_instants(text, us):
    assert instant_us(text) == us


@pytest.mark.parametrize(
    ("text", "us"),
    [("30s", 30_000_000), ("10m", 600_000_000), ("1.5h", 5_400_000_000), ("1d", 86_400_000_000), (None, None)],
)
def test_lengths(text, us):
    assert length_us(text) == us


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01", "12"])
def test_no_instant(text):
    with pytest.raises(FluxForgeError, match="no time"):
        instant_us(text)


@pytest.mark.parametrize("text", ["", "10", "m", "-5m", "5 weeks"])
def test_no_length(text):
    with pytest.raises(FluxForgeError, match="no length of time"):
        length_us(text)
