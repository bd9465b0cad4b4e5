"""What a configuration asks for: its shares, and what is told of a symbol that is not there."""

from fluxforge_collector.exchanges.asked import shards, unknown_symbol
from fluxforge_collector.exchanges.gaps import Stream
from fluxforge_collector.records import Channel


def test_an_unknown_symbol_without_neighbour_is_to_be_removed():
    assert unknown_symbol("okx", "../../etc/x", ["BTC/USDT"]) == (
        "okx has no symbol '../../etc/x': remove it (exchanges.okx.symbols)"
    )


def test_shards_keep_the_channels_of_a_symbol_together():
    streams = [Stream(c, s) for c in (Channel.ORDERBOOK, Channel.TRADES) for s in "abcde"]
    shares = list(shards(streams, 2))
    assert [{s.symbol for s in share} for share in shares] == [{"a", "b"}, {"c", "d"}, {"e"}]
    assert sorted(s for share in shares for s in share) == sorted(streams)
    assert list(shards([], 2)) == []
