"""A compaction, a conversion or a repair, to be killed. Each line of standard input is one life, `{root, kill_at, what}`, in a fork.

A life kills itself, as `kill -9` would, just before its `kill_at`-th change of the lake's names (open, rename, link, remove,
make or remove a directory); an exchange stands between two of them. Prints one JSON object a line: how the life ended and the changes it saw.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from support.market import config_of

from fluxforge_assets.lake.compaction import compact
from fluxforge_assets.lake.conversion import convert, legacy_segments
from fluxforge_assets.lake.paths import Lake
from fluxforge_assets.lake.places import Selection
from fluxforge_assets.lake.repair import Dates, faults, mend
from fluxforge_collector.config.model import Compaction, Ingestion

CHANGES = {"open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir"}
LATER_US = 1_900_000_000_000_000


def compacted(lake):
    return compact(lake, Compaction(), Selection(), now_us=LATER_US)


def converted(lake):
    return convert(lake, legacy_segments(lake, "ccxt"), Ingestion())


class NotMended(NamedTuple):
    """Why a fault stays."""

    error: str


def repaired(lake):
    for fault in list(faults(lake, config_of("unused"), Dates())):
        if why := mend(fault):
            yield NotMended(why)


DOES = {"compact": compacted, "convert": converted, "repair": repaired}


class Death:
    """Counts changes below the root, and dies before one of them."""

    def __init__(self, root: Path, kill_at: int | None):
        self.root, self.kill_at, self.changes = str(root), kill_at, 0

    def __call__(self, event, args):
        if event in CHANGES and (not str(args[0]).startswith("/") or str(args[0]).startswith(self.root)):
            self.changes += 1
            if self.changes == self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)


def main():
    pa.array(["imports what pyarrow looks for once, so that no life has to"])
    for line in sys.stdin:
        life = json.loads(line)
        root = Path(life["root"])
        pid = os.fork()
        if pid == 0:
            death = Death(root, life["kill_at"])
            sys.addaudithook(death)
            failed = [str(one.error) for one in DOES[life["what"]](Lake(root)) if hasattr(one, "error")]
            print(json.dumps({"changes": death.changes, "failed": failed}), flush=True)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"ended": os.waitstatus_to_exitcode(status)}), flush=True)


if __name__ == "__main__":
    main()
