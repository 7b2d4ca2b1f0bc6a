"""Where numba may be used, and how a kernel is documented."""

import ast
import re

from tests.style.sources import dotted, imported, is_kernel_module, modules

ARGUMENTS = re.compile(r"^\s*(\w+(?:\s*,\s*\w+)*)\s+:\s", re.MULTILINE)


def kernels(tree: ast.Module) -> list[ast.FunctionDef]:
    """Functions that numba compiles."""

    def is_compiled(decorator: ast.expr) -> bool:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        return dotted(called).split(".")[-1] in ("njit", "jit", "vectorize", "guvectorize")

    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and any(map(is_compiled, node.decorator_list))
    ]


def options(kernel: ast.FunctionDef) -> dict[str | None, object]:
    """Keywords of its decorator that are constants."""
    return {
        keyword.arg: getattr(keyword.value, "value", None)
        for decorator in kernel.decorator_list
        if isinstance(decorator, ast.Call)
        for keyword in decorator.keywords
    }


def is_inlined(kernel: ast.FunctionDef) -> bool:
    """Part of its callers: numba keeps no code of its own for it, and it is read as an expression of theirs."""
    return options(kernel).get("inline") == "always"


def documented(function: ast.FunctionDef) -> list[str]:
    """Names on the argument lines (`name : (n,) int64 ...`) of a docstring, in order."""
    groups = ARGUMENTS.findall(ast.get_docstring(function) or "")
    return [name.strip() for group in groups for name in group.split(",")]


def argument_names(function: ast.FunctionDef) -> list[str]:
    return [
        a.arg for a in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
    ]


def test_numba_is_imported_in_kernel_modules_only():
    found = [
        f"{name}:{line}: imports {what}"
        for name, tree in modules().items()
        if not is_kernel_module(name)
        for line, what in imported(tree)
        if what.split(".")[0] in ("numba", "llvmlite")
    ]
    assert not found, "\n".join(found)


def test_the_docstring_of_a_kernel_names_every_argument_in_the_order_of_the_signature():
    found = [
        f"{name}:{kernel.lineno}: {kernel.name} takes {argument_names(kernel)}, documents {documented(kernel)}"
        for name, tree in modules().items()
        for kernel in kernels(tree)
        if not kernel.name.startswith("_")
        and not is_inlined(kernel)
        and documented(kernel) != argument_names(kernel)
    ]
    assert not found, "\n".join(found)


def test_kernels_are_cached():
    """`cache=True` on each, or the first call of every process would compile for seconds."""
    found = [
        f"{name}:{kernel.lineno}: {kernel.name} is not cached"
        for name, tree in modules().items()
        for kernel in kernels(tree)
        if options(kernel).get("cache") is not True and not is_inlined(kernel)
    ]
    assert not found, "\n".join(found)


def test_the_check_reads_argument_lines_and_not_prose():
    tree = ast.parse(
        "@njit(cache=True)\n"
        "def add(time_us, low, high, out):\n"
        '    """Write to `out`: the sum.\n\n'
        "    time_us   : (n,) int64  microseconds\n"
        "    low, high : float       bounds\n"
        "    out       : (n,) float64  written\n\n"
        "    Cost: O(n). Note: nothing is allocated.\n"
        '    """\n'
    )
    (kernel,) = kernels(tree)
    assert documented(kernel) == argument_names(kernel) == ["time_us", "low", "high", "out"]
