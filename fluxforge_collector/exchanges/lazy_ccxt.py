"""ccxt without the exchanges nobody asked for.

ccxt's three packages import every exchange they know: three seconds of CPU and 40 MB, of which a collector uses a
handful of classes. Here each is imported when it is first named; all else is ccxt's own.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any

_PACKAGES = ("ccxt", "ccxt.async_support", "ccxt.pro")


def import_exchanges_lazily() -> None:
    """Have each exchange of ccxt imported when it is first named; for a process that has not imported ccxt yet."""
    if "ccxt" not in sys.modules and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname in _PACKAGES else None
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin)
        return spec


class _Loader(SourceFileLoader):
    """Runs a package's own source without its imports of exchanges."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Package(spec.name)

    def get_code(self, fullname: str) -> CodeType:
        of_exchange = re.compile(rf"^from {re.escape(fullname)}\.(\w+) +import \1\b.*$", re.MULTILINE)
        return compile(of_exchange.sub("", self.get_source(fullname) or ""), self.path, "exec")


class _Package(ModuleType):
    """Holds the class of each exchange under its name, as ccxt's packages do, from when it is first asked for."""

    def __getattr__(self, name: str) -> Any:
        if name not in vars(self).get("exchanges", ()):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        import_module(f"{self.__name__}.{name}")
        return vars(self)[name]

    def __setattr__(self, name: str, value: Any) -> None:
        # whoever imports a module has Python set it in its package, where ccxt has the class of that name
        if isinstance(value, ModuleType) and name in vars(self).get("exchanges", ()):
            value = getattr(value, name)
        super().__setattr__(name, value)
