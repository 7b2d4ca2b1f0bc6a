"""Load kernels from the cache without what only compiling needs.

Beside machine code, numba keeps the bitcode of each kernel, for others that call it to be compiled with, and parses it
whenever it loads the kernel. Nothing reads it while all kernels come from the cache, and it took 0.2 of the 1.4 s in
which `weir run` starts. Here it is parsed once somebody compiles with it.
"""

# ruff: noqa: SLF001 - numba has no other door; a numba that nobody has tried this with is left alone

from typing import Any, Final

import numba
from numba.core import codegen as numba_codegen
from numba.core.codegen import JITCodeLibrary, JITCPUCodegen

NEWEST_KNOWN: Final = (0, 68)  # of numba


class CachedLibrary(JITCodeLibrary):
    """Machine code of a kernel; bitcode that comes from the cache stays bytes until somebody compiles with it."""

    _bitcode: bytes | None = None  # not parsed yet
    _parsed: Any = None

    @classmethod
    def _unserialize(cls, codegen: Any, state: tuple[str, str, Any]) -> Any:
        name, kind, stored = state
        if kind != "object":
            return super()._unserialize(codegen, state)  # type: ignore[no-untyped-call]
        library: Any = codegen.create_library(name)
        machine_code, library._bitcode = stored
        library.enable_object_caching()
        library._set_compiled_object(machine_code)
        library._finalize_final_module()
        return library

    @property
    def _shared_module(self) -> Any:
        """What others are compiled with."""
        if self._bitcode is not None:
            parse: Any = numba_codegen.ll.parse_bitcode  # type: ignore[attr-defined]
            self._parsed, self._bitcode = parse(self._bitcode), None
            engine: Any = self._codegen._engine
            engine._load_defined_symbols(self._parsed)
        return self._parsed

    @_shared_module.setter
    def _shared_module(self, module: Any) -> None:
        self._parsed = module

    def get_pointer_to_function(self, name: str) -> Any:
        """Address of a function of the kernel, 0 if it has none of that name."""
        if self._bitcode is None:
            return super().get_pointer_to_function(name)  # type: ignore[no-untyped-call]
        # numba's list of names is filled from bitcode
        return self._codegen._engine.get_function_address(name)


def parse_late() -> None:
    """Have kernels loaded as `CachedLibrary`."""
    if numba.version_info.short <= NEWEST_KNOWN:
        JITCPUCodegen._library_class = CachedLibrary
