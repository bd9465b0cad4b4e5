"""Death at a chosen point: an audit hook that counts the changes of a lake's names and kills before one of them."""

import os
import signal
from pathlib import Path

CHANGES = {"open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.truncate"}


class Death:
    """Counts changes below the root, and dies as `kill -9` would before the `kill_at`-th."""

    def __init__(self, root: Path, kill_at: int | None) -> None:
        self.root, self.kill_at, self.changes = str(root), kill_at, 0

    def __call__(self, event, args):
        if event in CHANGES and (not isinstance(args[0], str | os.PathLike) or str(args[0]).startswith(self.root)):
            self.changes += 1
            if self.changes == self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
