"""What faults do to one frame's text."""

import pytest

from fluxforge_collector.simulator import Fault
from fluxforge_collector.simulator.damage import damaged

OKX = '{"arg":{"channel":"books"},"data":[{"asks":[],"ts":"1","seqId":7,"prevSeqId":6}]}'
BINANCE = '{"e":"depthUpdate","U":1,"u":2,"b":[["1.0","2"]],"a":[]}'
KRAKEN = '{"channel":"book","data":[{"bids":[],"checksum":2439117996}]}'


@pytest.mark.parametrize(
    ("fault", "text", "sent"),
    [
        (Fault("drop"), OKX, []),
        (Fault("duplicate"), OKX, [OKX, OKX]),
        (Fault("malformed"), "0123456789", ["01234"]),
        (Fault("error_frame"), OKX, ["refused", OKX]),
        (Fault("missing_field"), OKX, [OKX.replace(',"prevSeqId":6', "")]),
        (Fault("missing_field"), BINANCE, [BINANCE.replace(',"a":[]', "")]),
        (Fault("missing_field", field="ts"), OKX, [OKX.replace('"ts":"1",', "")]),
        (Fault("missing_field", field="nowhere"), OKX, [OKX]),
        (Fault("checksum"), KRAKEN, [KRAKEN.replace("2439117996", "2439117997")]),
    ],
)
def test_a_damaged_frame(fault, text, sent):
    assert damaged(text, fault, "refused") == sent
