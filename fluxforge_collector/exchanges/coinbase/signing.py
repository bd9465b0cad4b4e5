"""Signing subscriptions with a CDP key: a JSON Web Token of two minutes, a new one for each message.

Market data needs no key; Coinbase calls connections with one the more reliable.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from fluxforge_collector.config.sources import CoinbaseCredentials
from fluxforge_collector.errors import ConfigError

_LIFE_S = 120

Sign = Callable[[int], str]
"""A token as of a time in seconds since the epoch."""


def signer_of(credentials: CoinbaseCredentials) -> Sign | None:
    """What signs with these credentials; None where there are none. Raises: ConfigError for a key that cannot sign."""
    if credentials.key_name is None:
        return None
    name, key = credentials.key_name.get_secret_value(), _private_key(credentials)

    def sign(now_s: int) -> str:
        claims = {"iss": "cdp", "sub": name, "nbf": now_s, "exp": now_s + _LIFE_S}
        return jwt.encode(claims, key, algorithm="ES256", headers={"kid": name, "nonce": secrets.token_hex(16)})

    return sign


def _private_key(credentials: CoinbaseCredentials) -> EllipticCurvePrivateKey:
    """The private key. Raises: ConfigError, which tells nothing of it."""
    remedy = "download an ECDSA key from the Coinbase Developer Platform, and give its PEM text or file"
    try:
        # in JSON and environment variables, line ends are often written as \n
        text = _pem_text(credentials).replace("\\n", "\n")
        key = load_pem_private_key(text.encode(), password=None)
    except OSError as error:
        raise ConfigError(f"cannot read coinbase.credentials.private_key_file: {error.strerror}", remedy) from None
    except (ValueError, TypeError):
        raise ConfigError("coinbase.credentials holds no private key in PEM form", remedy) from None
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise ConfigError("coinbase.credentials holds a private key of another kind than ECDSA on P-256", remedy)
    return key


def _pem_text(credentials: CoinbaseCredentials) -> str:
    if credentials.private_key is not None:
        return credentials.private_key.get_secret_value()
    return Path(credentials.private_key_file or "").expanduser().read_text(encoding="utf-8")
