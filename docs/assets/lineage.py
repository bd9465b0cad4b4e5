"""Takes the README's picture of the lineage page: `python docs/assets/lineage.py http://127.0.0.1:3000`."""

import subprocess
import sys
import tempfile
from pathlib import Path

GROUPS = ("bronze", "silver", "gold")
CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
    "--disable-background-networking", "--no-first-run", "--disable-sync", "--window-size=2200,1000",
    "--virtual-time-budget=25000",
)  # fmt: skip


def take(address, out):
    """Screenshot of the asset graph with every group open."""
    opened = ",".join(f"global@global:{group}" for group in GROUPS)
    with tempfile.TemporaryDirectory() as profile:
        page = f"{address}/asset-groups?expanded={opened}"
        subprocess.run(
            [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", f"--screenshot={out}", page],
            check=True,
            stderr=subprocess.DEVNULL,
        )


if __name__ == "__main__":
    take(sys.argv[1], Path(__file__).with_name("lineage.png"))
