import pytest

from fluxforge_collector.simulator.verbatim import (
    Recorded,
    Request,
    is_ping,
    number_of,
    renumbered,
    same_message,
)


@pytest.mark.parametrize(
    ("live", "recorded", "same"),
    [
        ('{"op":"subscribe","id":2}', '{"op":"subscribe","id":1}', True),
        ('{"op":"subscribe", "args":[1]}', '{"args":[1],"op":"subscribe"}', True),
        ('{"op":"subscribe","args":[1]}', '{"op":"subscribe","args":[2]}', False),
        ('{"op":"login","args":["key"]}', "REDACTED", True),
        ('{"channel":"level2","jwt":"a"}', '{"channel":"level2","jwt":"REDACTED"}', True),
        ('{"channel":"level2"}', '{"channel":"ticker"}', False),
        ("hello", "hello", True),
        ("hello", '{"op":"subscribe"}', False),
        ("[1]", "[1]", True),
        ("", "", True),
    ],
)
def test_a_message_is_the_recorded_one_but_for_what_is_made_anew(live, recorded, same):
    assert same_message(live, recorded) is same


@pytest.mark.parametrize(
    ("url", "path", "query", "means"),
    [
        ("https://x.com/a/depth?limit=1000&symbol=B", "/a/depth", {"symbol": "B", "limit": "1000"}, True),
        ("https://x.com/trades?since=17000&symbol=B", "/trades", {"symbol": "B", "since": "18000"}, True),
        ("https://x.com/a?symbol=B", "/a", {"symbol": "C"}, False),
        ("https://x.com/a?symbol=B", "/a", {}, False),
        ("https://x.com/a", "/b", {}, False),
        ("https://x.com/a?signature=REDACTED", "/a", {"signature": "c2ln"}, True),
        ("https://x.com/a%2Fb", "/a/b", {}, True),
    ],
)
def test_a_request_is_the_recorded_one_but_for_its_numbers(url, path, query, means):
    assert Request.of(path, query).means(Request.of_url(url)) is means


@pytest.mark.parametrize(
    "text", ["ping", '{"op":"ping"}', '{"method":"ping","req_id":7}', '{"ping":17}', '{"type": "ping", "id": "x"}']
)
def test_signs_of_life_are_known(text):
    assert is_ping(text)


@pytest.mark.parametrize("text", ["", "pong", '{"op":"subscribe"}', '{"op":"subscribe","args":["ping"]}', "x" * 5000])
def test_what_is_no_sign_of_life_is_heard(text):
    assert not is_ping(text)


def test_an_answer_bears_the_number_of_the_message_it_answers():
    numbers = {number_of('{"method":"SUBSCRIBE","id":1}'): "4"}
    assert renumbered('{"result":null,"id":1}', numbers) == '{"result":null,"id":4}'
    assert renumbered('{"result":null,"id":2}', numbers) == '{"result":null,"id":2}'
    assert renumbered('{"price":"1"}', numbers) == '{"price":"1"}'
    long = '{"id":1,"bids":"' + "x" * 2000 + '"}'
    assert renumbered(long, numbers) == long


def test_an_address_is_host_port_and_path():
    assert Recorded(0, 1, "wss://a.b:9443/ws/1?x=1", "recv", "").address == "a.b:9443/ws/1"
