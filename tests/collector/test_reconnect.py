"""Waiting before trying again, and knowing when not to."""

import random

import pytest
from aiohttp import ClientResponseError
from ccxt.base import errors
from hypothesis import given
from hypothesis import strategies as st

from fluxforge_collector.reconnect import Backoff, is_permanent, retry_after_s


def longest(_low, high):
    return high


def test_ceilings_double_up_to_the_cap():
    backoff = Backoff(uniform=longest)
    assert [backoff.next_delay_s() for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]


def test_health_starts_over():
    backoff = Backoff(uniform=longest)
    assert [backoff.next_delay_s(healthy_s=s) for s in (0, 0, 59.9, 60, 0)] == [0.5, 1, 2, 0.5, 1]


def test_what_the_exchange_asks_for_is_the_least():
    backoff = Backoff(uniform=longest)
    assert [backoff.next_delay_s(retry_after_s=s) for s in (7, 0.1)] == [7, 1]


@given(st.lists(st.floats(0, 120), max_size=200), st.integers(0, 1 << 32))
def test_jitter_is_full_and_bounded(healths, seed):
    chance = random.Random(seed)
    backoff = Backoff(uniform=chance.uniform)
    assert all(0 <= backoff.next_delay_s(healthy_s=h) <= 60 for h in healths)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.BadSymbol("x"), True),
        (errors.NotSupported("x"), True),
        (errors.AuthenticationError("x"), True),
        (errors.PermissionDenied("x"), True),
        (errors.NetworkError("x"), False),
        (errors.RateLimitExceeded("x"), False),
        (errors.ExchangeNotAvailable("x"), False),
        (errors.ChecksumError("x"), False),
        (errors.InvalidNonce("x"), False),
        (TypeError("x"), False),
    ],
)
def test_permanent_errors(error, expected):
    assert is_permanent(error) is expected


@pytest.mark.parametrize(
    ("error", "headers", "seconds"),
    [
        (errors.RateLimitExceeded("x"), {"Retry-After": "2"}, 2.0),
        (errors.DDoSProtection("x"), {"retry-after": "1.5"}, 1.5),
        (errors.RateLimitExceeded("x"), {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        (errors.RateLimitExceeded("x"), {"Retry-After": "-3"}, 0.0),
        (errors.RateLimitExceeded("x"), {"Retry-After": "inf"}, 0.0),
        (errors.RateLimitExceeded("x"), {"Retry-After": "1e9"}, 3600.0),
        (errors.RateLimitExceeded("x"), {"Retry-After": "soon"}, 0.0),
        (errors.RateLimitExceeded("x"), {"Retry-After": "Fri, 31 Dec 2100 23:59:59 GMT"}, 3600.0),
        (errors.ExchangeNotAvailable("okx 503"), {"Retry-After": "2"}, 2.0),
        (errors.ExchangeError('coinbase GET https://x 429 {"error":"refused"}'), {"Retry-After": "2"}, 2.0),
        (errors.ExchangeError("coinbase 400"), {"Retry-After": "2"}, 0.0),
        (ClientResponseError(None, (), status=429), {"Retry-After": "2"}, 2.0),
        (ClientResponseError(None, (), status=404), {"Retry-After": "2"}, 0.0),
        (errors.RateLimitExceeded("x"), None, 0.0),
        (errors.NetworkError("x"), {"Retry-After": "2"}, 0.0),
    ],
)
def test_retry_after(error, headers, seconds):
    assert retry_after_s(error, headers) == seconds
