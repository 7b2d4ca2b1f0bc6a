"""Tell numba where in the cache the code of a kernel stands: by its module and the content of its sources.

Numba's own locators put the path of the checkout into the place, so that each clone and each installed wheel compiles
everything again, and look at the file of the kernel alone. Named to numba by config/numba_settings.py; numba imports
this module when it makes the first kernel. What "content" covers, config/kernel_cache.py says.
"""

import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from numba.core.caching import UserProvidedCacheLocator
from numba.core.registry import cpu_target

from config import kernel_cache, kernels_loading
from config.kernel_cache import PACKAGES, ROOT, source_hash

BLAS: Final = "scipy.linalg.cython_blas"


class ContentLocator(UserProvidedCacheLocator):
    """Locate kernels of ours; None for functions of others, which numba then locates as usual."""

    @classmethod
    def from_function(
        cls, py_func: Callable[..., Any], py_file: str
    ) -> UserProvidedCacheLocator | None:
        if _module(py_file) is None:
            return None
        self = cls(py_func, py_file)
        if os.access(self._cache_path, os.W_OK):  # numba tries it out with a file, for each kernel
            return self
        located: UserProvidedCacheLocator | None = super().from_function(py_func, py_file)  # type: ignore[no-untyped-call]
        return located

    @classmethod
    def get_suitable_cache_subpath(cls, py_file: str) -> str:
        """The folder of the module inside the cache."""
        module = _module(py_file)
        assert module is not None, py_file
        return str(module.relative_to(ROOT).parent)

    def get_source_stamp(self) -> str:
        """What stale code is told by: the sources as they are now, not as they were when the process began."""
        module = _module(self._py_file)
        assert module is not None, self._py_file
        return _stamp(module)


@cache
def _module(py_file: str) -> Path | None:
    """The module as a path under ROOT, None if it is not in one of our packages."""
    path = Path(py_file).resolve()
    if not path.is_relative_to(ROOT):
        return None
    return path if path.relative_to(ROOT).parts[0] in PACKAGES else None


@cache
def _stamp(module: Path) -> str:
    return source_hash(module, ROOT)


def _make_ready() -> None:
    """Have numba load all that it compiles with, as it does for its first kernel anyway, but without scipy's algebra.

    Once, numba imports the module BLAS to see whether it could multiply matrices; where scipy is installed that took
    0.2 of the 2.0 s in which `weir run` starts. A placeholder answers it, and goes: a function that does multiply
    matrices imports the module itself.
    """
    is_there = BLAS in sys.modules
    if not is_there:
        sys.modules[BLAS] = ModuleType(BLAS)
    try:
        cpu_target.target_context.refresh()
    finally:
        if not is_there:
            del sys.modules[BLAS]


kernel_cache.use()
_make_ready()
kernels_loading.parse_late()
