"""What faults do to the text of one frame: the texts sent instead of it. Pure."""

from __future__ import annotations

import re
from typing import Any

import orjson

from fluxforge_collector.simulator.faults import Fault

_DEPTH = 100_000
_PRICE = re.compile(r"""((?:\[|"(?:p|px|price|price_level|b|a)":\[?\[?))("?-?\d[\d.]*"?)(?=[,\]}])(?!,"0(?:\.0*)?")""")
_CHECKSUM = re.compile(r'("checksum":)(-?\d+)')


def damaged(text: str, fault: Fault, refusal: str) -> list[str]:
    """The texts sent instead of a frame's; `refusal` is the venue's error frame."""
    match fault.kind:
        case "drop":
            texts = []
        case "malformed":
            texts = [text[: len(text) // 2]]
        case "missing_field":
            texts = [without_field(text, fault.field)]
        case "error_frame":
            texts = [refusal, text]
        case "checksum":
            texts = [_CHECKSUM.sub(lambda match: f"{match[1]}{int(match[2]) ^ 1}", text)]
        case "price":
            texts = [_PRICE.sub(lambda match: f'{match[1]}"{fault.field or "NaN"}"', text, count=1)]
        case "deep":
            texts = ["[" * _DEPTH + "]" * _DEPTH, text]
        case "oversize":
            texts = [f'{{"padding":"{"x" * (12 << 20)}"}}', text]
        case "duplicate":
            texts = [text, text]
        case _:
            texts = [text]
    return texts


def without_field(text: str, field: str | None) -> str:
    """A JSON frame without a key, wherever it stands; by default without the last key of its innermost object."""
    body = orjson.loads(text)
    if field is None:
        _innermost(body).popitem()
    else:
        _strike(body, field)
    return orjson.dumps(body).decode()


def _innermost(body: dict[str, Any]) -> dict[str, Any]:
    """The object reached by following the first value that holds one."""
    for value in body.values():
        inner = value[0] if isinstance(value, list) and value else value
        if isinstance(inner, dict) and inner and value is not body.get("arg"):
            return _innermost(inner)
    return body


def _strike(body: Any, field: str) -> None:
    if isinstance(body, dict):
        body.pop(field, None)
    for value in body.values() if isinstance(body, dict) else body:
        if isinstance(value, dict | list):
            _strike(value, field)
