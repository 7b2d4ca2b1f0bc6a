"""The sources that the style tests look at, parsed once."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("config", "rules", "models", "engine", "replay")


@cache
def modules() -> dict[str, ast.Module]:
    """Path inside the repository -> syntax tree, of every module of the five packages."""
    return {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"), str(path))
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }


def is_kernel_module(name: str) -> bool:
    """Named kernels*.py, or in a folder kernels/."""
    path = Path(name)
    return path.name.startswith("kernels") or "kernels" in path.parts[:-1]


def dotted(node: ast.expr) -> str:
    """`np.random.default_rng` of an attribute chain, "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def imported(tree: ast.AST) -> list[tuple[int, str]]:
    """(line, full name) of everything imported: `from time import sleep` gives `time` and `time.sleep`."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append((node.lineno, node.module))
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return found
