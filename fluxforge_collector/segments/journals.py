"""Journals of either format: a journal's name says which, and whoever writes or reads one need not know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxforge_collector.segments.columns import journal_schema
from fluxforge_collector.segments.journal import Journal, JournalReader
from fluxforge_collector.segments.names import RawFormat, format_of_journal
from fluxforge_collector.segments.ndjson_journal import NdjsonJournal, NdjsonJournalReader

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fluxforge_collector.records import Channel

AnyJournal = Journal | NdjsonJournal
AnyJournalReader = JournalReader | NdjsonJournalReader


def new_journal(path: Path, channel: Channel, metadata: Mapping[str, str] | None = None) -> AnyJournal:
    """A new journal of a channel. Raises: StorageError where the disk refuses."""
    is_ndjson = format_of_journal(path.name) is RawFormat.NDJSON
    return (NdjsonJournal if is_ndjson else Journal)(path, journal_schema(channel), metadata)


def read_journal(path: Path, channel: Channel) -> AnyJournalReader:
    """The journal of a channel. Raises: JournalError where not even its beginning can be read."""
    if format_of_journal(path.name) is RawFormat.NDJSON:
        return NdjsonJournalReader(path, journal_schema(channel))
    return JournalReader(path)
