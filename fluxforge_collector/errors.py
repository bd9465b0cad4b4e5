"""The tree of errors a person may meet. Each carries what went wrong and what to do; the command line prints one line.

FluxForgeError
├── ConfigError          a configuration that cannot be used
├── InstrumentError      a name that is no instrument, or no safe path
├── DataError            a file or frame that breaks its contract
│   ├── ManifestError    a manifest that does not describe its files
│   ├── SegmentError     a landed segment that cannot be read
│   └── JournalError     a journal that cannot be read
├── StorageError         the lake's root cannot be read or written
│   ├── MissingError     an object that is not there, or not any more
│   ├── DamagedError     an object that is not what was sent: no other try helps
│   └── UnreachableError a store that cannot be reached or is too busy: worth another try
└── FeedError            an exchange that refuses what was asked
"""

from __future__ import annotations


class FluxForgeError(Exception):
    """An error with its remedy: `message` says what is wrong, `remedy` what to do about it."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} — {self.remedy}" if self.remedy else self.message


class ConfigError(FluxForgeError):
    """A configuration that cannot be used."""


class InstrumentError(FluxForgeError):
    """A name that is no instrument, or would not make a safe path."""


class DataError(FluxForgeError):
    """A file or frame that breaks its contract."""


class ManifestError(DataError):
    """A manifest that does not describe its files."""


class SegmentError(DataError):
    """A landed segment that cannot be read: the id of it, beside what is wrong."""

    def __init__(self, message: str, remedy: str, segment: str) -> None:
        super().__init__(message, remedy)
        self.segment = segment


class JournalError(DataError):
    """A journal that cannot be read."""


class StorageError(FluxForgeError):
    """The lake's root cannot be read or written."""


class MissingError(StorageError, FileNotFoundError):
    """An object that is not there, or not any more."""


class DamagedError(StorageError):
    """An object whose bytes are not what its checksum says."""


class UnreachableError(StorageError):
    """A store that cannot be reached, or is too busy: trying again later may help."""


class FeedError(FluxForgeError):
    """An exchange that refuses what was asked of it; trying again will not help."""
