"""What is secret in texts that go to an exchange or come from it, taken out. Pure functions of text.

Known credentials go wherever they stand. Of what is sent, and of addresses and answers, everything else goes too that
by its name or its look grants access: signatures, tokens, listen keys, whole messages of authentication.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

REDACTED = "REDACTED"

_NAMES = (
    r"(?:api[-_]?key|access[-_]?(?:key|token|sign)|api[-_]?sign|sign|signature|passphrase|password|passwd|secret"
    r"|token|jwt|bearer|authorization|listen[-_]?key)"
)
_HINT = re.compile(r"key|sign|passw|passp|secret|token|jwt|bearer|authori", re.IGNORECASE)
# what grants access is long: a market whose token is ETH is no secret
_JSON = re.compile(rf'("[\w-]*{_NAMES}"\s*:\s*)"(?:[^"\\]|\\.){{16,}}"', re.IGNORECASE)
_QUERY = re.compile(rf"(\b[\w-]*{_NAMES}=)[^&\s\"']+", re.IGNORECASE)
_USER = re.compile(r"(://)[^/@\s]+@")
_JWT = re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*")
_KEY_IN_PATH = re.compile(r"(?<=/)[A-Za-z0-9]{40,}(?=[/?]|$)")  # Binance's listen key stands in the address itself
_AUTHENTICATES = re.compile(
    r'"(?:op|method|event|action|type|req|cmd|channel)"\s*:\s*"[\w./-]*(?:auth|log[-_]?[io]n|sign)[\w./-]*"',
    re.IGNORECASE,
)


def without(text: str, known: Iterable[str]) -> str:
    """The text without the credentials that are known."""
    for secret in known:
        if secret in text:
            text = text.replace(secret, REDACTED)
    return text


def redacted(text: str, known: Iterable[str]) -> str:
    """A text of any kind, such as an answer or an error, without anything that grants access."""
    text = _JWT.sub(REDACTED, without(text, known))
    if not _HINT.search(text):
        return text
    return _QUERY.sub(rf"\1{REDACTED}", _JSON.sub(rf'\1"{REDACTED}"', text))


def redacted_message(text: str, known: Iterable[str]) -> str:
    """A message that was sent; nothing is left of one that authenticates, for its arguments have no names."""
    return REDACTED if _AUTHENTICATES.search(text) else redacted(text, known)


def redacted_url(url: str, known: Iterable[str]) -> str:
    """An address without anything that grants access."""
    return _KEY_IN_PATH.sub(REDACTED, _USER.sub(rf"\1{REDACTED}@", redacted(url, known)))
