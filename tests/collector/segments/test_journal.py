import os
import random

import pyarrow as pa
import pytest

from fluxforge_collector.errors import JournalError, StorageError
from fluxforge_collector.records import Channel
from fluxforge_collector.segments.columns import Columns, journal_schema
from fluxforge_collector.segments.journal import Journal, JournalReader


def _batch(lake, rows):
    columns = Columns(Channel.ORDERBOOK)
    for row in range(rows):
        columns.append(lake.book(levels=row % 4, nonce=None if row % 3 == 0 else row))
    return columns.to_batch()


@pytest.fixture
def written(lake, tmp_path):
    """A closed journal of five batches, and where each ends."""
    path = tmp_path / "j.arrow"
    journal = Journal(path, journal_schema(Channel.ORDERBOOK), {"who": "test"})
    batches, ends = [], [journal.bytes]
    for rows in (3, 1, 40, 7, 200):
        batches.append(_batch(lake, rows))
        journal.append(batches[-1])
        ends.append(journal.bytes)
    journal.close()
    return path, batches, ends


def _read(path):
    with JournalReader(path) as reader:
        batches = list(reader)
        return batches, reader.damaged_bytes, reader.damage


def test_it_gives_back_what_was_appended(written):
    path, batches, ends = written
    assert _read(path) == (batches, 0, None)
    assert path.stat().st_size == ends[-1]
    assert path.stat().st_mode & 0o777 == 0o640
    with JournalReader(path) as reader:
        assert reader.schema.metadata[b"who"] == b"test"


def test_it_is_a_plain_arrow_stream(written):
    path, batches, _ = written
    with pa.memory_map(str(path)) as file:
        assert pa.ipc.open_stream(file).read_all().equals(pa.Table.from_batches(batches))


def test_cut_anywhere_it_is_a_clean_prefix(written, tmp_path):
    path, batches, ends = written
    data, seed = path.read_bytes(), random.randrange(1 << 32)
    print("seed", seed)
    cuts = random.Random(seed).sample(range(ends[0], len(data)), 150)
    for cut in [*cuts, *ends, ends[1] + 1, ends[2] - 1]:
        (tmp_path / "cut").write_bytes(data[:cut])
        whole = sum(end <= cut for end in ends[1:])
        found, damaged, damage = _read(tmp_path / "cut")
        assert found == batches[:whole]
        assert damaged == cut - ends[whole]
        assert (damage is None) == (damaged == 0)


def test_cut_within_its_header_it_cannot_be_read(written, tmp_path):
    path, _, ends = written
    for cut in (0, 1, 8, ends[0] - 1):
        (tmp_path / "cut").write_bytes(path.read_bytes()[:cut])
        with pytest.raises(JournalError):
            _read(tmp_path / "cut")


@pytest.mark.parametrize("tail", [1, 8, 5000])
def test_a_tail_of_zeros_is_damage(written, tail):
    path, batches, _ = written
    with path.open("ab") as file:
        file.write(bytes(tail))
    found, damaged, damage = _read(path)
    assert (found, damaged) == (batches, tail)
    assert damage


@pytest.mark.parametrize("seed", [1237383772, random.randrange(1 << 32)], ids=["hides the next", "any"])
def test_flipped_bytes_never_pass_for_values(written, tmp_path, seed):
    """Each flip either changes nothing that is read, or ends the journal before its batch, and says so."""
    path, batches, ends = written
    data, rng, stopped = path.read_bytes(), random.Random(seed), 0
    print("seed", seed)
    for _ in range(300):
        at, flipped = rng.randrange(ends[0], len(data)), bytearray(data)
        flipped[at] ^= 1 << rng.randrange(8)
        (tmp_path / "flip").write_bytes(flipped)
        found, damaged, damage = _read(tmp_path / "flip")
        if damage is None:
            assert (found, damaged) == (batches, 0)
        else:
            before = sum(end <= at for end in ends[1:])
            # a flip that only hides where the next batch begins leaves its own believable
            whole = max(before, len(found))
            assert found == batches[:whole]
            if whole == before:
                assert damaged == len(data) - ends[whole]
            else:  # and may let more be read as a part of it, or less
                assert 0 < damaged < len(data) - ends[before]
            stopped += 1
    assert stopped > 150


def test_an_old_journal_is_never_written_to(written):
    path, _, _ = written
    with pytest.raises(StorageError):
        Journal(path, journal_schema(Channel.ORDERBOOK))


def test_a_refused_append_leaves_the_journal_whole_and_open(lake, tmp_path):
    path = tmp_path / "j.arrow"
    journal = Journal(path, journal_schema(Channel.ORDERBOOK))
    first, second = _batch(lake, 5), _batch(lake, 9)
    journal.append(first)
    good, fd = journal.bytes, journal._file._fd
    read_only = os.open(path, os.O_RDONLY)
    journal._file._fd = read_only
    with pytest.raises(StorageError):
        journal.append(second)
    os.close(read_only)
    journal._file._fd = fd
    assert path.stat().st_size == good
    journal.append(second)
    journal.close()
    assert _read(path) == ([first, second], 0, None)
