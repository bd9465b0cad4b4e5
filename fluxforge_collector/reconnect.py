"""Trying again: how long to wait, and for which errors it is worth it. Nothing is connected here."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from math import isfinite

import aiohttp
from ccxt.base.errors import (
    ArgumentsRequired,
    AuthenticationError,
    BadSymbol,
    DDoSProtection,
    ExchangeError,
    ExchangeNotAvailable,
    NotSupported,
    RateLimitExceeded,
)

LONGEST_WAIT_S = 3600.0
_REFUSED = frozenset({418, 429, 503})
_REFUSAL = re.compile(r"\b(418|429|503)\b|too many requests|rate limit", re.IGNORECASE)
PERMANENT = (ArgumentsRequired, AuthenticationError, BadSymbol, NotSupported)


class Backoff:
    """Exponential backoff with full jitter: the n-th wait is uniform in [0, min(cap, base · 2ⁿ)] seconds.

    What was healthy for `reset_s` before it failed starts over; a wait the exchange asked for is never cut short.
    """

    def __init__(
        self,
        *,
        base_s: float = 0.5,
        cap_s: float = 60.0,
        reset_s: float = 60.0,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._base_s = base_s
        self._cap_s = cap_s
        self._reset_s = reset_s
        self._uniform = uniform
        self._attempts = 0

    def next_delay_s(self, *, healthy_s: float = 0.0, retry_after_s: float = 0.0) -> float:
        """Seconds to wait before trying again, after `healthy_s` seconds in which all was well."""
        if healthy_s >= self._reset_s:
            self._attempts = 0
        # beyond 2³⁰ the cap has long held, and a float would overflow some day
        ceiling = min(self._cap_s, self._base_s * 2.0 ** min(self._attempts, 30))
        self._attempts += 1
        return max(retry_after_s, self._uniform(0.0, ceiling))


def is_permanent(error: BaseException) -> bool:
    """Whether trying again cannot help: a symbol that does not exist, a call not supported, a key refused."""
    return isinstance(error, PERMANENT)


def retry_after_s(error: BaseException, headers: Mapping[str, str] | None) -> float:
    """The wait in seconds an exchange asked for with its refusal; 0 where it asked for none."""
    return asked_wait_s(headers) if is_refusal(error) else 0.0


def is_refusal(error: BaseException) -> bool:
    """Whether an exchange would not answer for now: too many requests, or not available.

    Through ccxt, Coinbase's refusals reach us as plain errors, of which only the text tells.
    """
    if isinstance(error, aiohttp.ClientResponseError):
        return error.status in _REFUSED
    if isinstance(error, DDoSProtection | RateLimitExceeded | ExchangeNotAvailable):
        return True
    return isinstance(error, ExchangeError) and _REFUSAL.search(str(error)) is not None


def asked_wait_s(headers: Mapping[str, str] | None) -> float:
    """The wait in seconds that the headers of a refusal ask for; 0 where they ask for none."""
    asked = next((v for k, v in (headers or {}).items() if k.lower() == "retry-after"), "0")
    try:
        seconds = float(asked)
    except ValueError:
        seconds = _seconds_until(asked)
    return min(max(0.0, seconds), LONGEST_WAIT_S) if isfinite(seconds) else 0.0


def _seconds_until(date: str) -> float:
    """Seconds until an HTTP date; 0 for what is none."""
    try:
        return parsedate_to_datetime(date).timestamp() - time.time()
    except ValueError:
        return 0.0
