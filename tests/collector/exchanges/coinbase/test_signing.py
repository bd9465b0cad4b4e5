"""Tokens as a verifier sees them, and keys that cannot sign."""

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fluxforge_collector.config.sources import CoinbaseCredentials
from fluxforge_collector.errors import ConfigError
from fluxforge_collector.exchanges.coinbase.signing import signer_of

NAME = "organizations/1/apiKeys/2"
KEY = ec.generate_private_key(ec.SECP256R1())
NOW_S = 1_700_000_000


def pem(key, form=PrivateFormat.PKCS8):
    return key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()


def credentials(**given):
    return CoinbaseCredentials(key_name=NAME, **given)


@pytest.mark.parametrize("text", [pem(KEY), pem(KEY, PrivateFormat.TraditionalOpenSSL), pem(KEY).replace("\n", "\\n")])
def test_a_token_is_verified_with_the_public_key_and_lives_two_minutes(text):
    sign = signer_of(credentials(private_key=text))
    tokens = [sign(NOW_S), sign(NOW_S)]
    options = {"verify_exp": False, "verify_nbf": False}
    for token in tokens:
        claims = jwt.decode(token, KEY.public_key(), algorithms=["ES256"], options=options)
        assert claims == {"iss": "cdp", "sub": NAME, "nbf": NOW_S, "exp": NOW_S + 120}
    headers = [jwt.get_unverified_header(token) for token in tokens]
    assert {header["kid"] for header in headers} == {NAME}
    assert headers[0]["nonce"] != headers[1]["nonce"]
    stranger = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(tokens[0], stranger, algorithms=["ES256"], options=options)


def test_a_key_is_read_from_its_file(tmp_path):
    file = tmp_path / "key.pem"
    file.write_text(pem(KEY))
    assert signer_of(credentials(private_key_file=str(file)))(NOW_S)


def test_nothing_is_signed_without_a_key():
    assert signer_of(CoinbaseCredentials()) is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"private_key": "hunter2"}, "no private key in PEM form"),
        ({"private_key": pem(ed25519.Ed25519PrivateKey.generate())}, "another kind than ECDSA on P-256"),
        ({"private_key": pem(ec.generate_private_key(ec.SECP384R1()))}, "another kind than ECDSA on P-256"),
        ({"private_key_file": "/no/such/file"}, "cannot read coinbase.credentials.private_key_file"),
    ],
)
def test_a_key_that_cannot_sign_is_one_error_that_does_not_show_it(given, message):
    with pytest.raises(ConfigError, match=message) as raised:
        signer_of(credentials(**given))
    assert "hunter2" not in str(raised.value)
    assert raised.value.__cause__ is None
