"""Names of saved arrays: every part of the core saves a flat dict, and the core puts them side by side."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from numpy.typing import NDArray

Arrays: TypeAlias = dict[str, NDArray[Any]]


def prefixed(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """The same arrays, each named `prefix/name`."""
    return {f"{prefix}/{name}": array for name, array in arrays.items()}


def under(arrays: Mapping[str, NDArray[Any]], prefix: str) -> Arrays:
    """Those of `arrays` that were saved under `prefix`, by their own names."""
    start = prefix + "/"
    return {n[len(start) :]: array for n, array in arrays.items() if n.startswith(start)}
