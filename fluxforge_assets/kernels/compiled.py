"""How kernels are compiled: once, cached beside their file, without the interpreter.

numba's cache looks at the file of the function only, not at those it calls into: after an edit, `make` or
`python -m fluxforge_assets.kernels` compiles them all anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

# A kernel allocates nothing, so counting references to its arrays buys nothing, and costs a third of a pass.
compiled: Callable[[Kernel], Kernel] = njit(cache=True, nogil=True, error_model="numpy", _nrt=False)  # type: ignore[call-overload]
