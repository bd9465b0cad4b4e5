"""All statistics stored per bucket, in catalogue order, and which of them merge together as moments."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from fluxforge_assets.features import flows, quality, trades
from fluxforge_assets.features import moments as book_moments
from fluxforge_assets.features.registry import FLOW, by_family
from fluxforge_assets.tables import Column
from fluxforge_collector.config.features import FeatureOptions

FAMILY_FILES = (quality, book_moments, flows, trades)
"""The files that declare statistics; importing them fills the registry."""


@dataclass(frozen=True, slots=True)
class MomentGroup:
    """Moments over one count, merged by Chan's rule (catalogue 6.4).

    `m2s` and `comoments` name the mean or means they are taken about: (mean, m2) and (mean x, mean y, co-moment).
    """

    n: str
    means: tuple[str, ...]
    m2s: tuple[tuple[str, str], ...]
    comoments: tuple[tuple[str, str, str], ...] = ()


@cache
def statistics(options: FeatureOptions) -> tuple[Column, ...]:
    """The stored statistics these options create: quality counts, then families G, H, I; keys excluded."""
    return tuple(column for declared in by_family(FLOW) for column in declared.columns(options))


def moments(options: FeatureOptions) -> tuple[MomentGroup, ...]:
    """The groups of statistics which merge by Chan's rule; every column with that rule is in exactly one."""
    top = f"imb_top{min(5, options.max_levels)}"
    varied = ("spread_bps", "imb_l0", top, "micro_dev_bps", "depth_near")
    return (
        MomentGroup(
            "n_book",
            (*(f"{name}_mean" for name in varied), "depth_l0_mean", "depth_lk_mean"),
            tuple((f"{name}_mean", f"{name}_m2") for name in varied),
        ),
        MomentGroup("lag_n", ("lag_ms_mean",), (("lag_ms_mean", "lag_ms_m2"),)),
        MomentGroup(
            "n_pair",
            ("rs_mx", "rs_my", "rd_mx", "rd_my"),
            (("rs_mx", "rs_m2x"), ("rd_mx", "rd_m2x")),
            (("rs_mx", "rs_my", "rs_cxy"), ("rd_mx", "rd_my", "rd_cxy")),
        ),
        MomentGroup("dur_n", ("dur_mean",), (("dur_mean", "dur_m2"),)),
    )
