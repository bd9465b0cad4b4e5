"""How kernels are compiled: once, cached beside their file, without the interpreter.

numba's cache looks at the file of the function only: after an edit of a file that others call into, remove
`kernels/__pycache__` or edit the caller too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

# A kernel allocates nothing, so counting references to its arrays buys nothing, and costs a third of a pass.
compiled: Callable[[Kernel], Kernel] = njit(cache=True, nogil=True, error_model="numpy", _nrt=False)  # type: ignore[call-overload]
