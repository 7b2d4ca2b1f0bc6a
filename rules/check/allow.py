"""Silencing one finding where it stands, with a reason.

    # weir rules: allow WR204 - payee country is absent for book transfers
    and payee_country != "DE"

The comment stands on the line above; several may stand above one another. Warnings and infos can be silenced, errors
cannot. An allow that silences nothing (WR010), has no reason (WR011) or names no code that can be silenced (WR012) is a
finding itself.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from config import marks
from rules.check import codes
from rules.check.findings import Finding, at_range

_ALLOW: Final = re.compile(
    r"^[ \t]*(#[ \t]*weir[ \t]+rules[ \t]*:[ \t]*allow\b[ \t]*(\w*)[ \t]*(.*?))[ \t]*$",
    re.MULTILINE,
)
# looked for where somebody asks
WHEN_ASKED: Final = frozenset({"WR401", "WR402", "WR601", "WR602", "WR603"})
_DASH: Final = re.compile(r"^[-\u2013\u2014:][ \t]*")


@dataclass(frozen=True, slots=True)
class _Allow:
    source: marks.Source
    start: int
    end: int
    code: str
    reason: str
    line: int  # that it speaks of


def silenced(found: Iterable[Finding], sources: Sequence[marks.Source]) -> list[Finding]:
    """Return the findings without those that a comment allows, and findings about such comments."""
    findings = list(found)
    allows = [a for source in dict.fromkeys(sources) for a in _allows(source)]
    if not allows:
        return findings
    by_place: dict[tuple[str, int, str], list[Finding]] = {}
    for finding in findings:
        key = (finding.place.file, finding.place.line, finding.code)
        by_place.setdefault(key, []).append(finding)
    gone: set[int] = set()
    about: list[Finding] = []
    for allow in allows:
        matched = by_place.get((allow.source.file, allow.line, allow.code), [])
        about += _about(allow, matched)
        gone.update(id(f) for f in matched if not f.is_error)
    return [f for f in findings if id(f) not in gone] + about


def _about(allow: _Allow, matched: Sequence[Finding]) -> Iterable[Finding]:
    """What is wrong with the comment itself."""
    page = codes.PAGES.get(allow.code)
    where = (allow.source, allow.start, allow.end)
    if page is None:
        what = f'"{allow.code}" is no code of a finding' if allow.code else "allow names no code"
        hint = "write for instance: # weir rules: allow WR204 - why it is meant so"
        yield at_range("WR012", *where, what, hint)
    elif any(f.is_error for f in matched) or (not matched and page.severity == "error"):
        yield at_range("WR012", *where, f"{allow.code} is an error, which cannot be allowed")
    elif not matched and allow.code not in WHEN_ASKED:
        what = f"there is no {allow.code} on line {allow.line} to allow"
        yield at_range("WR010", *where, what, "take the comment out")
    elif not allow.reason:
        hint = f"write: # weir rules: allow {allow.code} - why it is meant so"
        yield at_range("WR011", *where, "an allow needs a reason", hint)


def _allows(source: marks.Source) -> Iterable[_Allow]:
    if "weir" not in source.text:
        return
    for match in _ALLOW.finditer(source.text):
        line = source.position(match.start(1))[0] + 1
        while _ALLOW.match(source.line(line)):
            line += 1
        reason = _DASH.sub("", match[3]).strip()
        yield _Allow(source, match.start(1), match.end(1), match[2], reason, line)
