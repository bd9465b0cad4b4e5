"""`python -m fluxforge_assets.kernels` compiles the kernels anew, ahead of their first use."""

from pathlib import Path

from fluxforge_assets.kernels.warm import warm

# numba would keep what it compiled from an older version of a file that the kernel's own file calls into.
for cached in (Path(__file__).parent / "__pycache__").glob("*.nb[ci]"):
    cached.unlink(missing_ok=True)
warm()
