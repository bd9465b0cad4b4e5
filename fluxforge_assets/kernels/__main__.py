"""`python -m fluxforge_assets.kernels` compiles the kernels anew, ahead of their first use."""

from pathlib import Path

from fluxforge_assets.kernels.groups import add
from fluxforge_assets.kernels.warm import warm

# beside the kernels, or in the own cache of a user who may not write there
kept = Path(add.stats.cache_path)  # type: ignore[attr-defined]
# numba would keep what it compiled from an older version of a file that the kernel's own file calls into.
for cached in kept.glob("*.nb[ci]"):
    cached.unlink(missing_ok=True)
warm()
print(f"compiled the kernels of {Path(__file__).parent} into {kept}")  # noqa: T201
