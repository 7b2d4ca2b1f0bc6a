"""Tell numba where in the cache the code of a kernel stands: by its module and the content of its sources.

Numba's own locators put the path of the checkout into the place, so that each clone and each installed wheel compiles
everything again, and look at the file of the kernel alone. Named in NUMBA_CACHE_LOCATOR_CLASSES by
config/kernel_cache.py, which says what "content" covers; numba imports this module when it caches the first kernel.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from numba.core.caching import UserProvidedCacheLocator

from config.kernel_cache import PACKAGES, ROOT, source_hash


class ContentLocator(UserProvidedCacheLocator):
    """Locate kernels of ours; None for functions of others, which numba then locates as usual."""

    @classmethod
    def from_function(
        cls, py_func: Callable[..., Any], py_file: str
    ) -> UserProvidedCacheLocator | None:
        if _module(py_file) is None:
            return None
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


def _module(py_file: str) -> Path | None:
    """The module as a path under ROOT, None if it is not in one of our packages."""
    path = Path(py_file).resolve()
    if not path.is_relative_to(ROOT):
        return None
    return path if path.relative_to(ROOT).parts[0] in PACKAGES else None


@cache
def _stamp(module: Path) -> str:
    return source_hash(module, ROOT, {})
