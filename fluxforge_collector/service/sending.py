"""From the collector's disk to the lake's bucket, whatever the network does meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import structlog

from fluxforge_collector.config.model import Config
from fluxforge_collector.errors import DamagedError, DataError, FluxForgeError, StorageError, UnreachableError
from fluxforge_collector.metrics import Tally
from fluxforge_collector.reconnect import Backoff
from fluxforge_collector.storage.bucket import open_path
from fluxforge_collector.transfer.delivery import Sent, Waiting, deliver, forget, has_sent, waiting

if TYPE_CHECKING:
    from fluxforge_collector.storage.s3 import S3Store

log = structlog.get_logger()

_LOOK_S = 1.0
_FORGET_S = 60.0
_CAP_S = 30.0
_LAST_TRIES = 3
T = TypeVar("T")


class Sending:
    """Sends what is sealed, one segment at a time; where the bucket refuses, tries again for as long as it takes."""

    def __init__(self, config: Config, store: S3Store, tally: Tally) -> None:
        self._config = config
        self._store = store
        self._tally = tally
        self._bad: set[str] = set()

    @classmethod
    def of(cls, config: Config, tally: Tally) -> Sending | None:
        """What the configuration asks for; None where the lake is a directory, or segments are sent by hand."""
        if not config.lake.is_in_bucket or config.ingestion.upload != "immediate":
            return None
        path = open_path(config.lake.root, config.storage)
        return None if isinstance(path, Path) else cls(config, path.store, tally)

    def check(self) -> None:
        """Ask the bucket whether it is there.

        Raises: StorageError where it refuses and nothing was ever sent: the place or the keys are wrong. Being cut off
        is none, nor is a later refusal, as of keys that have expired: a restart must not end the collecting.
        """
        try:
            self._store.check()
            log.info("bucket found", bucket=str(self._store), conditional_writes=self._store.judges_conditions())
        except StorageError as error:
            if not isinstance(error, UnreachableError) and not has_sent(self._config.root):
                raise
            self._tally.why_not_sent = str(error)
            log.warning("cannot send", why=str(error))

    async def run(self) -> None:
        """Send until cancelled."""
        backoff = Backoff(cap_s=_CAP_S)
        forgot_at = 0.0
        while True:
            try:
                await self._send_waiting()
                if time.monotonic() - forgot_at > _FORGET_S:
                    forgot_at = time.monotonic()
                    gone = await _blocking(lambda: forget(self._config.root, self._config.retention))
                    if gone:
                        log.info("sent copies deleted", files=gone)
            except Exception as error:  # whatever it is, segments wait on the disk, and nothing else depends on it
                delay_s = backoff.next_delay_s()
                self._tally.send_errors += 1
                self._tally.why_not_sent = str(error)
                is_foreseen = isinstance(error, FluxForgeError)
                again_in_s = round(delay_s, 2)
                log.warning(
                    "cannot send", why=str(error), again_in_s=again_in_s, exc_info=None if is_foreseen else error
                )
                await asyncio.sleep(delay_s)
            else:
                backoff = Backoff(cap_s=_CAP_S)
                await asyncio.sleep(_LOOK_S)

    async def finish(self) -> None:
        """Send what the end has sealed, in a few tries; what cannot be sent is sent after the next start."""
        backoff = Backoff()
        for _ in range(_LAST_TRIES):
            try:
                await self._send_waiting()
            except FluxForgeError as error:
                log.warning("cannot send", why=str(error))
                await asyncio.sleep(backoff.next_delay_s())
            else:
                return

    async def _send_waiting(self) -> None:
        for one in await _blocking(lambda: waiting(self._config.root)):
            if one.name.id not in self._bad:
                await self._send(one)

    async def _send(self, one: Waiting) -> None:
        try:
            sent: Sent = await _blocking(lambda: deliver(one, self._store, self._config.storage.workers))
        except (DataError, DamagedError) as error:
            # only a person can mend it; the others go on
            self._bad.add(one.name.id)
            log.warning("cannot send", segment=one.name.id, why=str(error))
            return
        if self._tally.why_not_sent is not None:
            self._tally.why_not_sent = None
            left = await _blocking(lambda: waiting(self._config.root))
            log.info("sending again", segments=len(left))
        self._tally.sent_segments += 1
        self._tally.sent_bytes += sent.size


async def _blocking(action: Callable[[], T]) -> T:
    """Run a blocking call to its end in a worker thread, even when cancelled: never two at once."""
    call = asyncio.ensure_future(asyncio.to_thread(action))
    try:
        return await asyncio.shield(call)
    except asyncio.CancelledError:
        with suppress(FluxForgeError):
            await call
        raise
