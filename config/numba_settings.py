"""Tell numba who finds the compiled kernels: config/kernels_locator.py, when the first one is made.

The packages with kernels do so in their `__init__`, before anything below imports numba, so that no way in can forget
it. To look for the folder there, too, would cost each command that runs no kernel 0.06 s.
"""

import os
import sys
from typing import Final

LOCATORS: Final = "config.kernels_locator.ContentLocator,UserProvidedCacheLocator"


def name_locator() -> None:
    """Name the locator. Harmless when called again."""
    tell("CACHE_LOCATOR_CLASSES", LOCATORS)


def tell(name: str, value: str) -> None:
    """Set one of numba's settings, for this process and those that it starts."""
    os.environ[f"NUMBA_{name}"] = value
    config = sys.modules.get("numba.core.config")
    if config is not None:  # somebody imported numba first, river for one
        setattr(config, name, value)
