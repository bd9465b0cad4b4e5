"""The journal: an Arrow IPC stream per channel, one checked batch per flush, readable after any death.

Arrow's stream carries no checksum, and a flipped byte inside a compressed buffer mostly passes for a value. So each
batch bears, in its custom metadata, the CRC32 of its uncompressed body, checked before a row is believed.
"""

from __future__ import annotations

import io
import zlib
from typing import TYPE_CHECKING, Self

import pyarrow as pa

from fluxforge_collector.errors import JournalError
from fluxforge_collector.segments.appended import AppendedFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_CRC = b"fluxforge.crc32"
_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"  # Arrow's end of a stream
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


def _checksum(batch: pa.RecordBatch) -> bytes:
    """CRC32 of the batch's uncompressed body and its number of rows."""
    crc = zlib.crc32(pa.ipc.read_message(batch.serialize()).body)
    return b"%08x" % zlib.crc32(b"%d" % batch.num_rows, crc)


class Journal:
    """A channel's journal of one segment, created new.

    Raises: StorageError where the disk refuses, from the constructor and `append`; what was appended before is not
    harmed, and the append may be tried again.
    """

    def __init__(self, path: Path, schema: pa.Schema, metadata: Mapping[str, str] | None = None) -> None:
        self.rows = 0
        self._schema = schema.with_metadata({**(schema.metadata or {}), **(metadata or {})})
        self._sink = io.BytesIO()
        self._stream = pa.ipc.new_stream(self._sink, self._schema, options=_OPTIONS)
        header = self._schema.serialize().to_pybytes()
        self._header_bytes = len(header)  # the stream writes it again before its first batch
        self._file = AppendedFile(path, header)

    @property
    def bytes(self) -> int:
        """What the file holds so far."""
        return self._file.bytes

    def append(self, batch: pa.RecordBatch) -> None:
        """Append one batch and force it to the disk; on return it survives any death."""
        self._stream.write_batch(batch, custom_metadata={_CRC: _checksum(batch)})
        message = self._sink.getvalue()[self._header_bytes :]
        self._header_bytes = 0
        self._sink.seek(0)
        self._sink.truncate()
        self._file.append(message)
        self.rows += batch.num_rows

    def close(self) -> None:
        """Close the file; its batches stay."""
        self._file.close()


class JournalReader:
    """The whole batches of a journal, in order, up to the first that is torn or corrupt.

    `damaged_bytes` and `damage` say, once read to the end, how much of the file could not be believed, and why.
    Raises: JournalError where not even the header can be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged_bytes = 0
        self.damage: str | None = None
        try:
            self._file = pa.OSFile(str(path))  # not mapped: read pages of a map count as the process's memory
            self._stream = pa.ipc.open_stream(self._file)
        except (OSError, ValueError, pa.ArrowException) as error:
            raise JournalError(f"cannot read journal {path}: {error}", "keep it in quarantine") from error
        self.schema: pa.Schema = self._stream.schema
        self.metadata: Mapping[bytes, bytes] = self.schema.metadata or {}

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        good = self._file.tell()
        while True:
            try:
                batch, metadata = self._stream.read_next_batch_with_custom_metadata()
                batch.validate(full=True)
                if not metadata or metadata.get(_CRC) != _checksum(batch):
                    self._report(good, "checksum differs")
                    return
            except StopIteration:
                if self._file.tell() != self._file.size() or self._rest(good) not in {b"", _END}:
                    self._report(good, "an end in the middle")
                return
            except (OSError, ValueError, MemoryError, pa.ArrowException) as error:
                self._report(good, str(error).partition("\n")[0])
                return
            good = self._file.tell()
            yield batch

    def _rest(self, position: int) -> bytes:
        self._file.seek(position)
        return bytes(self._file.read(len(_END) + 1))

    def _report(self, good: int, damage: str) -> None:
        self.damaged_bytes = self._file.size() - good
        self.damage = damage

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
