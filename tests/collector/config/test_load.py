"""Every mistake in a configuration is one clear error that names the key, where it stands and what to do."""

from pathlib import Path

import pytest

from fluxforge_collector.config.explain import settings
from fluxforge_collector.config.load import load_config, load_with_origins
from fluxforge_collector.errors import ConfigError


@pytest.fixture
def write(tmp_path):
    """A configuration file with this text."""

    def write(text):
        path = tmp_path / "fluxforge.yaml"
        path.write_text(text)
        return path

    return write


def test_a_file_that_cannot_be_looked_at_is_one_line():
    """As one in a directory of another user's; here a name longer than any file's, which root may not have either."""
    with pytest.raises(ConfigError, match=r"cannot read x+: File name too long — check the file and its permissions"):
        load_config(Path("x" * 300), {})


def test_defaults_hold_without_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load_config(None, {})
    assert config.ingestion.batch_size == 1000
    assert config.ingestion.flush_interval_seconds == 5.0
    assert config.etl.channels.orderbook.processor_options.horizons == (1, 5, 30, 60)


MISTAKES = {
    "unknown section": ("ingestoin: {}", ["unknown key 'ingestoin'", "did you mean 'ingestion'"]),
    "unknown key": ("ingestion: {batch_sise: 5}", ["'ingestion.batch_sise'", "did you mean 'batch_size'"]),
    "unknown feature option": (
        "etl: {channels: {orderbook: {processor_options: {horizon: [1]}}}}",
        ["processor_options.horizon'", "did you mean 'horizons'"],
    ),
    "unknown key of an exchange": (
        "exchanges: {okx: {symbols: [BTC/USDT], orderbok_depth: 5}}",
        ["orderbok_depth", "did you mean 'orderbook_depth'"],
    ),
    "wrong type": ("ingestion: {batch_size: many}", ["ingestion.batch_size", "valid integer"]),
    "out of range": ("ingestion: {flush_interval_seconds: -1}", ["flush_interval_seconds", "greater than 0"]),
    "not a mapping": ("- a\n- b", ["holds no sections"]),
    "a bucket misspelt": ("lake: {root: 'S3://bucket/x'}", ["lake.root", "'S3://bucket/x' names no bucket"]),
    "a bucket of a name that none has": ("lake: {root: 's3://B/x'}", ["lake.root", "written like s3://bucket/prefix"]),
    "a store of another kind": ("sync: {remote: 'gs://bucket/x'}", ["sync.remote", "'gs://bucket/x' names no bucket"]),
    "not YAML": ("lake: {root: [", ["not valid YAML", "line"]),
    "horizon off the grid": (
        "etl: {channels: {orderbook: {processor_options: {horizons: [1.5]}}}}",
        ["horizons: 1.5 s is not a multiple"],
    ),
    "more OFI levels than levels": (
        "etl: {channels: {orderbook: {processor_options: {max_levels: 5, ofi_levels: 6}}}}",
        ["ofi_levels (6) must be at most max_levels (5)"],
    ),
    "bands that would share a column": (
        "etl: {channels: {orderbook: {processor_options: {bands_bps: [5, 10.0000001, 10.0000002]}}}}",
        ["bands_bps", "share a column"],
    ),
    "too many products on a connection": (
        "coinbase: {symbols: [BTC/USD], products_per_connection: 11}",
        ["coinbase.products_per_connection", "less than or equal to 10"],
    ),
    "half a key": (
        "coinbase: {symbols: [BTC/USD], credentials: {key_name: hunter2}}",
        ["coinbase.credentials", "key_name goes with either private_key or private_key_file"],
    ),
    "deeper features than Coinbase's feed": (
        "coinbase: {symbols: [BTC/USD], orderbook_depth: 5}",
        ["coinbase.orderbook_depth (5) is less than the 10 levels"],
    ),
    "deeper features than the feed": (
        "exchanges: {okx: {symbols: [BTC/USDT], orderbook_depth: 5}}",
        ["orderbook_depth (5) is less than the 10 levels"],
    ),
    "a symbol that is no list": (
        "exchanges: {okx: {symbols: BTC/USDT}}",
        ["exchanges.okx.symbols in", ": must be a list, such as [BTC/USDT] —"],
    ),
    "a list where a section belongs": ("exchanges: [okx]", ["exchanges in", "must be a section, with its keys"]),
    "a section without anything": ("exchanges: {okx: }", ["exchanges.okx in", "must be a section, with its keys"]),
    "an empty list of symbols": ("exchanges: {okx: {symbols: []}}", ["exchanges.okx.symbols in", "names no symbol"]),
    "no symbol on any channel": ("coinbase: {symbols: {trades: []}}", ["coinbase.symbols in", "names no symbol"]),
    "no symbols": ("exchanges: {okx: {orderbook_depth: 20}}", ["exchanges.okx.symbols in", "is missing"]),
    "symbol twice": ("exchanges: {okx: {symbols: [BTC/USDT, BTC/USDT]}}", ["named twice"]),
    "exchange that is a path": ("exchanges: {../x: {symbols: [BTC/USDT]}}", ["no exchange id"]),
}


@pytest.mark.parametrize(("text", "parts"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_clear_line(write, text, parts):
    path = write(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path, {})
    message = str(caught.value)
    assert "\n" not in message
    for part in [*parts, "fluxforge"]:
        assert part in message


def test_a_missing_named_file_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="no configuration file"):
        load_config(tmp_path / "none.yaml", {})


def test_environment_overrides_the_file_and_says_so(write):
    path = write("ingestion: {batch_size: 5, queue_maxsize: 200}")
    loaded = load_with_origins(path, {"FLUXFORGE__INGESTION__BATCH_SIZE": "7", "OTHER": "x"})
    assert loaded.config.ingestion.batch_size == 7
    assert loaded.config.ingestion.queue_maxsize == 200
    origin = {s.key: s.origin for s in settings(loaded)}
    assert origin["ingestion.batch_size"] == "$FLUXFORGE__INGESTION__BATCH_SIZE"
    assert origin["ingestion.queue_maxsize"] == str(path)
    assert origin["ingestion.segment_max_mb"] == "default"


def test_a_secret_can_stand_in_a_file_that_a_variable_names(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("1e5: yes\n")
    loaded = load_with_origins(
        None, {"FLUXFORGE__STORAGE__SECRET_KEY_FILE": str(secret), "FLUXFORGE__STORAGE__ACCESS_KEY": "a"}
    )
    assert loaded.config.storage.secret_key.get_secret_value() == "1e5: yes", "a text, never read as YAML"
    (origin,) = (s.origin for s in settings(loaded) if s.key == "storage.secret_key")
    assert origin == "$FLUXFORGE__STORAGE__SECRET_KEY_FILE"
    with pytest.raises(ConfigError, match=r"SECRET_KEY_FILE names .*nowhere, which cannot be read: No such file"):
        load_config(None, {"FLUXFORGE__STORAGE__SECRET_KEY_FILE": str(tmp_path / "nowhere")})


@pytest.mark.parametrize("secret", ["*a", "%a", "@a", "a: b", "12345", "#a", "a #b", "null", "a\nb", '"a"'])
def test_a_secret_in_the_environment_is_taken_as_it_is(write, secret):
    """Read as YAML it would be cut off, be a number, or stand in an error for all to read."""
    path = write("exchanges: {okx: {symbols: [BTC/USDT]}}\ncoinbase: {symbols: [BTC/USD], credentials: {key_name: k}}")
    named = ("STORAGE__ACCESS_KEY", "STORAGE__SECRET_KEY", "COINBASE__CREDENTIALS__PRIVATE_KEY")
    variables = {f"FLUXFORGE__{name}": secret for name in (*named, "EXCHANGES__OKX__CREDENTIALS__API_KEY")}
    config = load_config(path, variables)
    for found in (config.storage.secret_key, config.coinbase.credentials.private_key):
        assert found.get_secret_value() == secret
    assert config.exchanges["okx"].credentials.api_key.get_secret_value() == secret


def test_an_empty_secret_is_none():
    assert load_config(None, {"FLUXFORGE__STORAGE__SESSION_TOKEN": ""}).storage.session_token is None


def test_what_is_no_yaml_is_not_shown_in_the_error():
    with pytest.raises(ConfigError, match=r"\$FLUXFORGE__STORAGE is not valid YAML — quote the value") as caught:
        load_config(None, {"FLUXFORGE__STORAGE": "{secret_key: hunter2"})
    assert "hunter2" not in str(caught.value)


def test_a_mistake_in_the_environment_names_the_variable():
    with pytest.raises(ConfigError, match=r"FLUXFORGE__INGESTION__BATCH_SISE.*did you mean 'batch_size'"):
        load_config(None, {"FLUXFORGE__INGESTION__BATCH_SISE": "7"})


def test_the_variable_names_the_file(write):
    path = write("log_level: debug")
    assert load_config(None, {"FLUXFORGE_CONFIG": str(path)}).log_level == "debug"


def test_secrets_never_show(write):
    path = write("exchanges: {okx: {symbols: [BTC/USDT], credentials: {api_key: hunter2}}}")
    loaded = load_with_origins(path, {})
    assert loaded.config.exchanges["okx"].credentials.api_key.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(loaded.config)
    assert "hunter2" not in repr(list(settings(loaded)))


def test_symbols_per_channel(write):
    path = write("exchanges: {okx: {symbols: {orderbook: [BTC/USDT], trades: [ETH/USDT]}}}")
    exchange = load_config(path, {}).exchanges["okx"]
    assert exchange.symbols_of("orderbook") == ("BTC/USDT",)
    assert exchange.symbols_of("trades") == ("ETH/USDT",)
    assert exchange.symbols_of("ticker") == ()
