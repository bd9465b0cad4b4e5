"""Damage to a lake of two instruments on the market's day, as deaths, copies and hands cause it; for whoever mends it."""

from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.datasets import SILVER_ORDERBOOK, SILVER_TRADES
from fluxforge_assets.lake.parts import parts_of
from fluxforge_assets.lake.paths import Place
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.storage.changes import move, write
from support.market import DAY

BTC = Place("ccxt", Instrument("binanceus", "BTC/USDT"), DAY)
ETH = Place("ccxt", Instrument("binanceus", "ETH/USDT"), DAY)


def copy(source, target):
    write(target, source.read_bytes())


def segments(lake):
    return Archive(lake, "ccxt").names(DAY)


def claim_without_manifest(lake, number=0):
    """A copy of a landed file left in processing."""
    paths, name = lake.segments("ccxt"), segments(lake)[number]
    copy(paths.archive_file("trades", DAY, name.id), paths.processing_file("trades", name.id))


def file_left_in_processing(lake, number=0):
    """A run died between its file and its manifest, and somebody moved the manifest by hand."""
    paths, name = lake.segments("ccxt"), segments(lake)[number]
    move(paths.archive_file("trades", DAY, name.id), paths.processing_file("trades", name.id))


def file_under_another_date(lake, number=1):
    paths, name = lake.segments("ccxt"), segments(lake)[number]
    move(paths.archive_file("trades", DAY, name.id), paths.archive_file("trades", "2026-11-19", name.id))


def manifest_lost(lake, number=0):
    lake.segments("ccxt").archive_manifest(DAY, segments(lake)[number].id).unlink()


def part_under_another_symbol(lake):
    here, there = (lake.partition(place, SILVER_TRADES.folder) for place in (BTC, ETH))
    for part in parts_of(there):
        move(there / part.name, lake.state / "hidden" / part.name)
    first = parts_of(here)[0]
    move(here / first.name, there / first.name)


def part_twice(lake, place=BTC):
    """As a copy of a lake holds it when a partition was replaced in between."""
    folder = lake.partition(place, SILVER_ORDERBOOK.folder)
    first = parts_of(folder)[0]
    copy(folder / first.name, folder / f"part-{first.from_us}-{first.to_us}-0123456789ab.parquet")


def part_broken(lake, place=BTC):
    folder = lake.partition(place, SILVER_ORDERBOOK.folder)
    first = parts_of(folder)[0]
    write(folder / first.name, b"no parquet")
