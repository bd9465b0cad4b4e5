"""The journal as newline-delimited JSON: a line per row, after each flush a line that proves it. See `journal`.

The first line tells what the journal is. A flush whose proof did not reach the disk was not promised to anybody: of it
the whole lines are taken, and the torn one is cut off.
"""

from __future__ import annotations

import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

import orjson

from fluxforge_collector.errors import DataError, JournalError
from fluxforge_collector.segments.appended import AppendedFile
from fluxforge_collector.segments.ndjson import from_lines, to_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa

_OURS = b'{"fluxforge.'
_CRC = "fluxforge.crc32"
_LARGEST_LINE = 256 << 20


class NdjsonJournal:
    """A channel's journal of one segment, created new.

    Raises: StorageError where the disk refuses, from the constructor and `append`; what was appended before is not
    harmed, and the append may be tried again.
    """

    def __init__(self, path: Path, schema: pa.Schema, metadata: Mapping[str, str] | None = None) -> None:
        self.rows = 0
        versions = {name.decode(): value.decode() for name, value in (schema.metadata or {}).items()}
        header = orjson.dumps({**versions, **(metadata or {})}, option=orjson.OPT_APPEND_NEWLINE)
        self._file = AppendedFile(path, header)

    @property
    def bytes(self) -> int:
        """What the file holds so far."""
        return self._file.bytes

    def append(self, batch: pa.RecordBatch) -> None:
        """Append one batch and force it to the disk; on return it survives any death."""
        lines = to_lines(batch)
        self._file.append(lines + orjson.dumps({_CRC: zlib.crc32(lines)}, option=orjson.OPT_APPEND_NEWLINE))
        self.rows += batch.num_rows

    def close(self) -> None:
        """Close the file; its lines stay."""
        self._file.close()


class NdjsonJournalReader:
    """The rows of a journal in batches as they were flushed, up to the first line that is torn or corrupt.

    `damaged_bytes` and `damage` say, once read to the end, how much of the file could not be believed, and why.
    Raises: JournalError where not even the first line can be read.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self.schema = schema
        self.damaged_bytes = 0
        self.damage: str | None = None
        with _unreadable(path):
            self._file = path.open("rb")
        try:
            with _unreadable(path):
                self._size = path.stat().st_size
                head = orjson.loads(self._line())
                self.metadata = {name.encode(): value.encode() for name, value in head.items()}
        except JournalError:
            self.close()
            raise

    def _line(self) -> bytes:
        return self._file.readline(_LARGEST_LINE)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        lines: list[bytes] = []
        good = self._file.tell()
        while line := self._line():
            if not line.endswith(b"\n"):
                break
            if not line.startswith(_OURS):
                lines.append(line)
                continue
            batch = self._proven(lines, line)
            if batch is None:
                self.damaged_bytes = self._size - good
                return
            yield batch
            good, lines = self._file.tell(), []
        for kept in lines:
            try:
                batch = from_lines([kept], self.schema)
            except DataError as error:
                self.damage = error.message
                break
            yield batch
            good += len(kept)
        if good < self._size:
            self.damage = self.damage or "an end in the middle of a line"
            self.damaged_bytes = self._size - good

    def _proven(self, lines: list[bytes], proof: bytes) -> pa.RecordBatch | None:
        """The batch of a flush; None, with the damage told, where it is not as it was written."""
        try:
            crc = zlib.crc32(b"".join(lines))
            if orjson.loads(proof) != {_CRC: crc}:
                self.damage = "checksum differs"
                return None
            return from_lines(lines, self.schema)
        except (ValueError, DataError) as error:
            self.damage = str(error)
            return None

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def _unreadable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, AttributeError) as error:
        raise JournalError(f"cannot read journal {path}: {error}", "keep it in quarantine") from error
