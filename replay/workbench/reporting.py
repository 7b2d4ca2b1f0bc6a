"""Results of rule tests for people, for other programs, and for build servers (JUnit XML)."""

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from typing import Final

from replay.workbench.ruletests import Failure, Result

_HAPPENED: Final = {
    "fires": "it fired",
    "quiet": "it stayed quiet",
    "excepted": "it was excepted",
    "deduplicated": "it was deduplicated",
    "undecided": "it was undecided",
}


def report(
    results: Iterable[Result], untested: Sequence[str] = (), seconds: float | None = None
) -> str:
    """A table of rules, each failed expectation with what each clause said, and a last line that counts.

    untested : ids of rules that have no test at all
    seconds  : that it took, None to say nothing about it
    """
    results = list(results)
    lines = []
    by_rule = _by_rule(results)
    for rule, tests in by_rule.items():
        failed = [t for t in tests if not t.is_fine]
        lines.append(f"{rule:24s} {len(tests)} tests  {'FAIL' if failed else 'ok'}")
        for test in failed:
            for failure in test.failures:
                lines.append(f'    "{test.test}"  {failure.place}  {_sentence(failure)}')
                lines += [f"        {line}" for line in _table(failure)]
    n, n_failed = sum(r.n_expectations for r in results), sum(len(r.failures) for r in results)
    lines += [
        f"{rule:24s} 0 tests  add one that fires and one that stays quiet" for rule in untested
    ]
    if untested:
        lines.append(
            "Tests stand under `tests:` of a rule; those of a rule that your pack overrides, in the override: "
            "add: {tests: [...]}. They then test the rule as overridden."
        )
    took = "" if seconds is None else f" ({seconds:.2f} s)"
    lines.append(
        f"{len(by_rule)} rules, {len(results)} tests, "
        f"{n} expectations: {n - n_failed} ok, {n_failed} failed{took}.  "
        f"Undecided evaluations: {sum(r.n_undecided for r in results)}."
    )
    return "\n".join(lines)


def as_json(results: Iterable[Result], untested: Sequence[str] = ()) -> dict[str, object]:
    """The same for machines."""
    results = list(results)
    return {
        "tests": [
            {
                "rule": r.rule,
                "test": r.test,
                "place": r.place,
                "expectations": r.n_expectations,
                "undecided": r.n_undecided,
                "seconds": round(r.seconds, 6),
                "failures": [
                    {
                        "place": f.place,
                        "expected": f.expected,
                        "got": f.got,
                        "event": f.event,
                        "clauses": [
                            {"text": c.text, "truth": c.truth, "values": c.values}
                            for c in f.clauses
                        ],
                    }
                    for f in r.failures
                ],
            }
            for r in results
        ],
        "untested": list(untested),
        "expectations": sum(r.n_expectations for r in results),
        "failed": sum(len(r.failures) for r in results),
    }


def as_junit(results: Iterable[Result], untested: Sequence[str] = ()) -> str:
    """JUnit XML as build servers read it: a suite for each rule, a case for each test.

    A rule without a test is a case that was skipped, so that it is seen.
    """
    by_rule = _by_rule(results)
    root = ET.Element("testsuites", {"name": "weir rules test"})
    for rule, tests in by_rule.items():
        suite = _suite(root, rule, len(tests), sum(not t.is_fine for t in tests), 0)
        suite.set("time", f"{sum(t.seconds for t in tests):.6f}")
        for test in tests:
            file, _, line = test.place.rpartition(":")[0].rpartition(":")
            case = ET.SubElement(
                suite,
                "testcase",
                {"classname": rule, "name": _plain(test.test), "time": f"{test.seconds:.6f}"},
            )
            if file:
                case.set("file", _plain(file))
                case.set("line", line)
            if test.failures:
                failure = ET.SubElement(case, "failure", {"type": "expectation"})
                failure.set("message", _plain(_sentence(test.failures[0])))
                failure.text = _plain("\n".join(_lines(test.failures)))
    for rule in untested:
        suite = _suite(root, rule, 1, 0, 1)
        suite.set("time", "0.000000")
        case = ET.SubElement(
            suite, "testcase", {"classname": rule, "name": "(no test)", "time": "0.000000"}
        )
        message = "add one that fires and one that stays quiet"
        ET.SubElement(case, "skipped", {"message": message})
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False)


def _suite(root: ET.Element, rule: str, n: int, n_failed: int, n_skipped: int) -> ET.Element:
    counts = {"tests": n, "failures": n_failed, "errors": 0, "skipped": n_skipped}
    suite = ET.SubElement(root, "testsuite", {"name": rule})
    for name, count in counts.items():
        suite.set(name, str(count))
    return suite


def _plain(text: str) -> str:
    """Without what XML 1.0 cannot hold."""
    return "".join(
        c
        if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff"
        else "?"
        for c in text
    )


def _lines(failures: Iterable[Failure]) -> Iterable[str]:
    for failure in failures:
        yield f"{failure.place}  {_sentence(failure)}"
        yield from (f"    {line}" for line in _table(failure))


def _sentence(failure: Failure) -> str:
    if failure.expected in _HAPPENED and failure.got in _HAPPENED:
        return f"expected {failure.expected}, but {_HAPPENED[failure.got]}"
    return f"expected {failure.expected}, got {failure.got}"


def _table(failure: Failure) -> list[str]:
    """The event, and one aligned line for each part of the condition."""
    if not failure.clauses:
        return list(failure.values)
    rows = [("  " * (c.level + 1) + c.text, c.truth, c.values) for c in failure.clauses]
    width = min(max(len(row[0]) for row in rows), 72)
    return [failure.event, *(f"{t:{width}s}  {truth:9s}  {v}".rstrip() for t, truth, v in rows)]


def _by_rule(results: Iterable[Result]) -> dict[str, list[Result]]:
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(result.rule, []).append(result)
    return found
