import random

import pyarrow as pa
import pytest

from fluxforge_collector.errors import JournalError, StorageError
from fluxforge_collector.records import Channel
from fluxforge_collector.segments.columns import Columns, journal_schema
from fluxforge_collector.segments.journals import new_journal, read_journal
from fluxforge_collector.segments.ndjson_journal import NdjsonJournalReader

SCHEMA = journal_schema(Channel.ORDERBOOK)


def _batch(lake, rows):
    columns = Columns(Channel.ORDERBOOK)
    for row in range(rows):
        columns.append(lake.book(levels=row % 4, nonce=None if row % 3 == 0 else row))
    return columns.to_batch()


@pytest.fixture
def written(lake, tmp_path):
    """A closed journal of four flushes, their rows, and where each line of the file ends."""
    path = tmp_path / "j.ndjson"
    journal = new_journal(path, Channel.ORDERBOOK, {"who": "test"})
    batches = [_batch(lake, rows) for rows in (3, 1, 20, 7)]
    for batch in batches:
        journal.append(batch)
    journal.close()
    data = path.read_bytes()
    assert journal.bytes == len(data)
    ends = [at + 1 for at, byte in enumerate(data) if byte == 10]
    return path, pa.Table.from_batches(batches), ends


def _read(path):
    with NdjsonJournalReader(path, SCHEMA) as reader:
        return pa.Table.from_batches(reader, schema=SCHEMA), reader.damaged_bytes, reader.damage


def test_it_gives_back_what_was_appended(written):
    path, rows, _ = written
    assert _read(path) == (rows, 0, None)
    with read_journal(path, Channel.ORDERBOOK) as reader:
        assert reader.metadata[b"who"] == b"test"
        assert [batch.num_rows for batch in reader] == [3, 1, 20, 7]


def test_cut_anywhere_it_holds_its_whole_lines(written, tmp_path):
    """Lines 1-3, 5, 7-26 and 28-34 of the file are rows; the others tell what the journal is, or prove a flush."""
    path, rows, ends = written
    data, seed = path.read_bytes(), random.randrange(1 << 32)
    print("seed", seed)
    proofs = {4, 6, 27, 35}
    for cut in [*random.Random(seed).sample(range(ends[0], len(data)), 150), *ends, ends[4] + 1, ends[9] - 1]:
        (tmp_path / "cut").write_bytes(data[:cut])
        lines = sum(end <= cut for end in ends)
        found, damaged, damage = _read(tmp_path / "cut")
        assert found == rows.slice(0, lines - 1 - sum(proof <= lines - 1 for proof in proofs))
        assert damaged == cut - ends[lines - 1]
        assert (damage is None) == (damaged == 0)


def test_a_flipped_bit_is_never_a_row(written, tmp_path):
    path, rows, ends = written
    data, rng = path.read_bytes(), random.Random(7)
    flushes = [(ends[4], 3), (ends[6], 4), (ends[27], 24), (ends[35], 31)]
    for _ in range(200):
        at, flipped = rng.randrange(ends[0], len(data)), bytearray(data)
        flipped[at] ^= 1 << rng.randrange(8)
        (tmp_path / "flip").write_bytes(flipped)
        found, damaged, damage = _read(tmp_path / "flip")
        proven = max((count for end, count in flushes if end <= at), default=0)
        assert found.slice(0, proven) == rows.slice(0, proven)
        if at < ends[27]:
            assert found.num_rows == proven
        assert damage is not None
        assert damaged > 0


@pytest.mark.parametrize("data", [b"", b"{", b"no journal", b"[]\n", b"\x00\xff\n"])
def test_without_its_first_line_it_cannot_be_read(tmp_path, data):
    (tmp_path / "j.ndjson").write_bytes(data)
    with pytest.raises(JournalError):
        read_journal(tmp_path / "j.ndjson", Channel.GAPS)


def test_an_old_journal_is_never_written_to(written):
    path, _, _ = written
    with pytest.raises(StorageError):
        new_journal(path, Channel.ORDERBOOK)
