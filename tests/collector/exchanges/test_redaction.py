"""Nothing that grants access is in a recorded frame; whatever else is there stays to the letter."""

import pytest

from fluxforge_collector.exchanges.redaction import redacted, redacted_message, redacted_url

KNOWN = ("Kn0wnKey", "s3cr3t/with+signs")
JWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJvcmcifQ.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    "text",
    [
        '{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms"],"id":1}',
        '{"op":"subscribe","args":[{"channel":"books","instId":"BTC-USDT"}]}',
        '{"event":"subscribe","pair":["XBT/USD"],"subscription":{"name":"book","depth":10}}',
        '{"op":"ping"}',
        "ping",
        "",
    ],
)
def test_what_is_public_stays_to_the_letter(text):
    assert redacted_message(text, KNOWN) == redacted(text, KNOWN) == text


@pytest.mark.parametrize(
    "text",
    [
        '{"op":"login","args":[{"apiKey":"Kn0wnKey","passphrase":"p","timestamp":"1","sign":"c2ln"}]}',
        '{"op":"auth","args":["Kn0wnKey",1662350400000,"a3b1"]}',
        '{"event":"auth","authSig":"a3b1","authPayload":"AUTH1"}',
        '{"method":"server.sign","params":["Kn0wnKey"],"id":9}',
        '{"id":3,"method":"session.logon","params":{"apiKey":"x","signature":"a3b1"}}',
        '{"time":1,"channel":"spot.login","event":"api","payload":{"api_key":"x","signature":"a3b1"}}',
    ],
)
def test_nothing_is_left_of_a_message_that_authenticates(text):
    assert redacted_message(text, KNOWN) == "REDACTED"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (
            f'{{"type":"subscribe","channel":"level2","jwt":"{JWT}"}}',
            '{"type":"subscribe","channel":"level2","jwt":"REDACTED"}',
        ),
        ('{"data":{"token":"2neAiuYvAU61ZDXANAGAsiL4"}}', '{"data":{"token":"REDACTED"}}'),
        (
            '{"listenKey": "pqia91ma19a5s61cv6a81va65sdf19v8a65a1a5s61cv6a81va65sdf19v8a65a1"}',
            '{"listenKey": "REDACTED"}',
        ),
        ('{"baseToken":"ETH","token":"BTC"}', '{"baseToken":"ETH","token":"BTC"}'),
        ("refused s3cr3t/with+signs", "refused REDACTED"),
        (
            "GET https://x/y?symbol=A&signature=abcdef&timestamp=1",
            "GET https://x/y?symbol=A&signature=REDACTED&timestamp=1",
        ),
    ],
)
def test_of_an_answer_only_what_grants_access_goes(text, left):
    assert redacted(text, KNOWN) == left


@pytest.mark.parametrize(
    ("url", "left"),
    [
        ("wss://stream.binance.us:9443/ws", "wss://stream.binance.us:9443/ws"),
        ("https://api.binance.us/api/v3/depth?limit=1000&symbol=BTCUSDT", "https://api.binance.us/api/v3/depth?limit=1000&symbol=BTCUSDT"),
        ("wss://s.x.com/ws/pqia91ma19a5s61cv6a81va65sdf19v8a65a1a5s61cv6a81va65sdf19v8a65a1", "wss://s.x.com/ws/REDACTED"),
        ("wss://ws.x.com/?token=2neAiuYvAU61ZDXANAGAsiL4&connectId=1", "wss://ws.x.com/?token=REDACTED&connectId=1"),
        ("wss://name:word@ws.x.com/a", "wss://REDACTED@ws.x.com/a"),
        ("https://x.com/a?api_key=Kn0wnKey", "https://x.com/a?api_key=REDACTED"),
        (f"wss://x.com/{JWT}", "wss://x.com/REDACTED"),
    ],
)  # fmt: skip
def test_an_address_names_its_host_and_nothing_secret(url, left):
    assert redacted_url(url, KNOWN) == left
