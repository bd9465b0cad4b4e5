"""Where an exchange is reached: the one rule by which a ccxt exchange is pointed at a simulated one."""

from __future__ import annotations

import re
from typing import Any

_ABSOLUTE = re.compile(r"(https?|wss?)://")


def relocate(urls: Any, base_url: str) -> Any:
    """A tree of URLs below another host: `wss://stream.x.com:9443/ws` becomes `ws://HOST:PORT/stream.x.com:9443/ws`.

    The real host stays, as the first segment of the path: ccxt reads the kind of market from some of its URLs, and
    the simulated exchange routes by it. Whatever is no absolute URL stays as it is.
    """
    if isinstance(urls, dict):
        return {key: relocate(value, base_url) for key, value in urls.items()}
    if isinstance(urls, list):
        return [relocate(value, base_url) for value in urls]
    match = _ABSOLUTE.match(urls) if isinstance(urls, str) else None
    if not match:
        return urls
    scheme = "ws" if match[1].startswith("ws") else "http"
    host = base_url.split("://", 1)[1].rstrip("/")
    return f"{scheme}://{host}/{urls[match.end() :]}"


def original(url: str, base_url: str | None) -> str:
    """The exchange's own address behind a relocated one; any other URL stays as it is."""
    host = (base_url or "").partition("://")[2].rstrip("/")
    scheme, found, rest = url.partition(f"://{host}/") if host else (url, "", "")
    return f"{scheme}s://{rest}" if found and scheme in {"ws", "http"} else url


def point_at(exchange: Any, base_url: str) -> None:
    """Point a ccxt exchange at the simulated one at `base_url`, such as `http://127.0.0.1:8000`."""
    exchange.urls["api"] = relocate(exchange.urls["api"], base_url)
