"""What the command sets up before it collects; collecting itself is in `test_collect_cli`."""

import os
import subprocess
import sys

import pytest

HELD = """
from pathlib import Path
from fluxforge_collector.cli.collect import _spare_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])

_spare_memory()
bytearray(12 << 20)  # as of a frame too large, freed at once
before = resident()
pieces = [(bytearray(b"x") * (1 << 20), bytearray(600)) for _ in range(8)]
taken = resident() - before
between = [small for _, small in pieces]
del pieces
print(taken, resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel of Linux what is resident")
def test_large_pieces_of_memory_go_back_whatever_was_freed_before_and_lies_between_them():
    """Left to itself, malloc keeps all of these for later: what a seal takes would stand on top of it."""
    found = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, check=True).stdout
    taken, held = map(int, found.split())
    assert held < taken / 10


POOL = """
from fluxforge_collector.cli import main
try:
    main(["collect", "--config", "none.yaml"])
except SystemExit:
    import pyarrow
    print(pyarrow.default_memory_pool().backend_name)
"""


def test_arrow_has_no_pool_of_its_own():
    """It would keep what each seal took beside what malloc has free."""
    # whoever ran the command in this process before has named a pool in its environment
    bare = {name: value for name, value in os.environ.items() if name != "ARROW_DEFAULT_MEMORY_POOL"}
    done = subprocess.run([sys.executable, "-c", POOL], capture_output=True, text=True, check=True, env=bare)
    assert done.stdout.split() == ["system"], done.stderr
