"""What is known of streams: repeated trades are known for as long as they may come again."""

from fluxforge_collector.exchanges.streams import Seen


def test_a_trade_is_repeated_while_it_is_among_the_last_thousand():
    seen = Seen()
    assert not any(seen.is_repeated(str(number)) for number in range(1000))
    assert seen.is_repeated("0")
    assert not seen.is_repeated("1000")
    assert not seen.is_repeated("0"), "forgotten when a thousand others had come"
    assert len(seen.trade_ids) == len(seen.trade_order) == 1000
