"""The page of a code, as `weir rules check --explain WR203` prints it: meaning, why, wrong, right, how to silence it.

What a code means stands in rules/check/codes.py, the examples in rules/check/examples.py. A test runs each wrong
example and finds that code and no other, and each right one and finds nothing.
"""

from collections.abc import Iterator
from textwrap import indent

from config.errors import ConfigError
from rules.check.codes import PAGES
from rules.check.examples import EXAMPLES
from rules.check.suggest import did_you_mean

_SEVERITIES = {"error": "error", "warn": "warning", "info": "note"}


def page(code: str) -> str:
    """Return the page of a code; raise ConfigError for what is none."""
    found = PAGES.get(code.upper())
    if found is None:
        fix = did_you_mean(code.upper(), PAGES, "") or "codes look like WR203"
        raise ConfigError(f"there is no finding with the code `{code}`", fix=fix)
    return "\n".join(_lines(code.upper())) + "\n"


def _lines(code: str) -> Iterator[str]:
    found, example = PAGES[code], EXAMPLES.get(code)
    yield f"{code}  {found.title}  ({_SEVERITIES[found.severity]})"
    yield ""
    yield from _wrapped(found.text)
    if example is not None:
        yield ""
        yield from ("Wrong:", _indented(example.wrong))
        yield ""
        yield from ("Right:", _indented(example.right))
    yield ""
    if found.severity == "error":
        yield "An error cannot be silenced: the pack is not used until it is mended."
    else:
        yield "If it is meant so, say why on the line above, and this one is not reported again:"
        yield f"    # weir rules: allow {code} - the reason"


def _indented(text: str) -> str:
    """An example without the pack below it, which is as ever."""
    return indent(text.split("# file: core/", maxsplit=1)[0].strip("\n"), "    ")


def _wrapped(text: str, width: int = 100) -> Iterator[str]:
    line = ""
    for word in text.split():
        if line and len(line) + len(word) >= width:
            yield line
            line = ""
        line = f"{line} {word}" if line else word
    if line:
        yield line
