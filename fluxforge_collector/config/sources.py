"""The sections that say what is collected, by source: exchanges through ccxt, and Coinbase directly."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from fluxforge_collector.config.section import Section
from fluxforge_collector.errors import InstrumentError
from fluxforge_collector.instruments import path_safe


class Credentials(Section):
    """Keys of an exchange; from the environment or files only, and never shown."""

    api_key: SecretStr | None = None
    secret: SecretStr | None = None
    password: SecretStr | None = None


class Symbols(Section):
    """What to collect, per channel; ccxt's unified symbols."""

    orderbook: tuple[str, ...] = ()
    trades: tuple[str, ...] = ()
    ticker: tuple[str, ...] = ()

    @field_validator("*")
    @classmethod
    def _safe(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for symbol in value:
            try:
                path_safe(symbol)
            except InstrumentError as error:
                raise ValueError(str(error)) from error
        if len(set(value)) != len(value):
            raise ValueError("a symbol is named twice")
        return value


class Asked(Section):
    """What is collected of an exchange, whichever source collects it."""

    symbols: Symbols | tuple[str, ...] = Field(description="symbols for every channel, or a list per channel")
    orderbook_depth: int = Field(50, ge=1, le=5000, description="levels kept per side")
    stale_after_seconds: float = Field(30.0, gt=0, description="longest silence of an order book stream, s")
    silence_seconds: float = Field(10.0, gt=0, description="longest silence of a connection, s")
    backfill_trades: bool = Field(default=True, description="fetch trades again over REST after a gap")
    base_url: str | None = Field(
        None, pattern=r"^http://[A-Za-z0-9.\-]+:\d+$", description="address of a simulated exchange"
    )
    record_frames: bool | None = Field(None, description="whether its frames are kept; null as ingestion says")

    def symbols_of(self, channel: str) -> tuple[str, ...]:
        """The symbols to collect on a channel."""
        if isinstance(self.symbols, tuple):
            return self.symbols
        wanted: tuple[str, ...] = getattr(self.symbols, channel)
        return wanted

    @field_validator("symbols", mode="before")
    @classmethod
    def _no_bare_symbol(cls, value: Any) -> Any:
        if isinstance(value, str):
            raise ValueError(f"must be a list, such as [{value}]")  # noqa: TRY004  # pydantic tells of it as of any other
        return value

    @field_validator("symbols")
    @classmethod
    def _one_list(cls, value: Symbols | tuple[str, ...]) -> Symbols | tuple[str, ...]:
        channels = Symbols(orderbook=value, trades=value, ticker=value) if isinstance(value, tuple) else value
        if channels == Symbols():
            raise ValueError("names no symbol: add one, or remove the section")
        return channels.orderbook if isinstance(value, tuple) else value


class Exchange(Asked):
    """One exchange collected through ccxt."""

    streams_per_connection: int = Field(50, ge=1, description="symbols per ccxt instance")
    reconnect_hours: float = Field(
        23.0, gt=0, description="age at which connections are replaced, overlapping, before the exchange ends them, h"
    )
    subscriptions_per_second: float = Field(
        5.0, gt=0, le=1000, description="subscribing calls a second, of all connections together"
    )
    options: dict[str, Any] = Field(default_factory=dict, description="passed to ccxt as its options")
    credentials: Credentials = Credentials()


class CoinbaseCredentials(Section):
    """An API key of the Coinbase Developer Platform, which market data does not need; never shown."""

    key_name: SecretStr | None = Field(None, description="its name, such as organizations/…/apiKeys/…")
    private_key: SecretStr | None = Field(None, description="its ECDSA private key, PEM text")
    private_key_file: str | None = Field(None, description="or the file that holds it")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        keys = [self.private_key, self.private_key_file]
        if keys.count(None) != (1 if self.key_name else 2):
            raise ValueError("key_name goes with either private_key or private_key_file")
        return self


class Coinbase(Asked):
    """Coinbase Advanced Trade, collected directly, as source `coinbase`; the symbols are spot, such as BTC/USD."""

    products_per_connection: int = Field(10, ge=1, le=10, description="Coinbase refuses more books on one connection")
    snapshot_seconds: float = Field(15.0, gt=0, description="longest wait for the books of a new connection, s")
    messages_per_second: float = Field(6.0, gt=0, le=8, description="subscriptions sent a second; Coinbase allows 8")
    credentials: CoinbaseCredentials = CoinbaseCredentials()
