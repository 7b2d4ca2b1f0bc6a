"""`weir rules check`: everything that is wrong or odd in packs, each finding with its place and code; what rules cost.

Reading and checking need no kernels, so that an editor can run this on every save. Only the estimate of memory does: it
is made where the settings say what to expect, and with --cost.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict
from zoneinfo import ZoneInfo

from config.errors import ConfigError
from config.settings import BANK

if TYPE_CHECKING:
    from config.schema import Schema
    from config.settings import Settings
    from engine.windows.budget import Weighed
    from rules.check.costs import Costs
    from rules.check.findings import Finding
    from rules.check.views import PackView
    from rules.pack import Loaded

    class _Further(TypedDict, total=False):
        further: Callable[[PackView], Iterable[Finding]]


FORMATS = ("text", "json", "github", "sarif")
_MODELS_FILE = "models.yaml"


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    check = verbs.add_parser(
        "check",
        help="find mistakes in packs, each with its place and code",
        description="Find everything that is wrong or odd in packs, in one run. Exit status 0: no errors, 1: errors "
        "(with --strict warnings too), 2: it could not run. A comment on the line above silences one warning: "
        "# weir rules: allow WR204 - why it is meant so",
    )
    check.add_argument("packs", nargs="*", type=Path, metavar="PACK")
    check.add_argument(
        "--config", type=Path, default=BANK, metavar="DIR", help="whose schema and models apply"
    )
    check.add_argument(
        "--as-of",
        metavar="DATE",
        help="the day that expiry and review dates are compared with; today if left out",
    )
    check.add_argument("--format", choices=FORMATS, default="text", help="text for people")
    check.add_argument("--explain", metavar="CODE", help="print the page of a code, such as WR203")
    check.add_argument("--strict", action="store_true", help="warnings count as errors do")
    check.add_argument("--rule", metavar="ID", help="findings of one rule only")
    check.add_argument(
        "--cost",
        action="store_true",
        help="say what each rule and each feature costs (WR401, WR402)",
    )
    check.add_argument(
        "--cluster",
        action="store_true",
        help="mark what partitions see a part of only (WR601 to WR603)",
    )
    check.set_defaults(command=_check)


def _check(arguments: argparse.Namespace) -> int:
    if arguments.explain is not None:
        from rules.check import pages

        print(pages.page(arguments.explain), end="")
        return 0
    if not arguments.packs:
        raise ConfigError(
            "no pack was named",
            fix="write weir rules check config/bank/packs/core, or --explain CODE",
        )
    return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    from config import rates, schema, settings
    from rules import pack
    from rules.check import costs
    from rules.check.findings import ERROR, WARN, ordered
    from rules.check.lint import lint

    folder = arguments.config
    configured = settings.read_settings(folder / settings.SETTINGS_FILE)
    table = settings.rates_file(folder, configured)
    columns = schema.read(folder / settings.SCHEMA_FILE)
    loaded = pack.load(arguments.packs, columns, rates.read(table) if table is not None else None)
    as_of_us = _as_of_us(arguments.as_of, loaded)
    weighed = _weighed(loaded, columns, configured, wanted=arguments.cost)
    shares = weighed.estimate.features if weighed is not None and weighed.estimate else {}
    findings = lint(
        loaded,
        columns,
        as_of_us,
        used=_read_by_models(folder),
        cost=lambda name: _size(shares[name]) if name in shares else "",
        **_asked(arguments, configured),
    )
    cost = costs.of(loaded)
    if arguments.cost:
        findings = ordered([*findings, *cost.findings(), *_states(loaded, shares)])
    if arguments.rule is not None:
        findings = _of_rule(findings, loaded, arguments.rule)
    n_errors = sum(f.severity == ERROR for f in findings)
    n_warnings = sum(f.severity == WARN for f in findings)
    _print(arguments.format, findings, loaded, cost, weighed, (n_errors, n_warnings))
    is_dear = _is_dear(weighed, configured, folder)
    return 1 if n_errors or is_dear or (arguments.strict and n_warnings) else 0


def _as_of_us(text: str | None, loaded: "Loaded") -> int:
    """Midnight of a day in the zone of the packs; now, if none was named."""
    if text is None:
        from engine.clock import SystemClock

        return SystemClock().now_us()
    zone = loaded.workshop.head.scope.zone if loaded.workshop is not None else ZoneInfo("UTC")
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"`--as-of` must be a day, was {text}", fix="write for instance --as-of 2026-03-09"
        ) from None
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1e6)


def _read_by_models(folder: Path) -> set[str]:
    """Names of the features that models read."""
    from config import marks

    if not (folder / _MODELS_FILE).is_file():
        return set()
    found: set[str] = set()
    stack: list[tuple[str, marks.Node]] = [("", marks.read(folder / _MODELS_FILE))]
    while stack:
        key, node = stack.pop()
        if isinstance(node, marks.MapNode):
            stack += [(name.value, value) for name, value in node.items()]
        elif isinstance(node, marks.ListNode):
            stack += [(key, item) for item in node]
        elif key == "inputs":
            found.add(node.value)
    return found


def _asked(arguments: argparse.Namespace, configured: "Settings") -> "_Further":
    """With --cluster: what a cluster of these settings computes of a part only."""
    if not arguments.cluster:
        return {}
    from config import settings
    from config.cluster import KEYS
    from rules.check import cluster

    models: dict[str, Sequence[str]] = {}
    path = arguments.config / _MODELS_FILE
    if path.is_file():
        entries = settings.read_models(path).models
        models = {name: entry.inputs for name, entry in entries.items()}
    key = KEYS[0] if configured.cluster is None else configured.cluster.key
    more = () if configured.cluster is None else configured.cluster.local
    return {"further": lambda view: cluster.check(view, key=key, more=more, models=models)}


def _of_rule(findings: "Sequence[Finding]", loaded: "Loaded", rule: str) -> "list[Finding]":
    """The findings that stand inside the text of one rule."""
    nodes = {d.id: d.reader.node for d in loaded.workshop.drafts} if loaded.workshop else {}
    node = nodes.get(rule)
    if node is None:
        from rules.check.suggest import did_you_mean

        raise ConfigError(
            f"there is no rule `{rule}` in these packs", fix=did_you_mean(rule, nodes, "`")
        )
    first = node.source.position(node.start)[0]
    last = node.source.position(max(node.start, node.end - 1))[0]
    return [
        f for f in findings if f.place.file == node.source.file and first <= f.place.line <= last
    ]


# ---- what it costs


def _weighed(
    loaded: "Loaded", columns: "Schema", configured: "Settings", *, wanted: bool
) -> "Weighed | None":
    """Memory at the expected scale; None where nobody asks, or where errors leave nothing to weigh."""
    if loaded.pack is None or not (wanted or configured.expected is not None):
        return None
    from engine.windows import budget

    return budget.weigh(loaded.pack, columns, configured)


def _is_dear(weighed: "Weighed | None", configured: "Settings", folder: Path) -> bool:
    """Say so if the packs need more memory than they may."""
    if weighed is None:
        return False
    from config.settings import SETTINGS_FILE
    from engine.windows import budget

    try:
        budget.check(weighed, configured.memory_budget_bytes, str(folder / SETTINGS_FILE))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return True
    return False


def _size(n_bytes: float) -> str:
    from config.memory import size_text

    return size_text(n_bytes)


def _states(loaded: "Loaded", shares: "dict[str, float] | object") -> "list[Finding]":
    """What the state of each feature takes (WR402)."""
    from rules.check.findings import at_node

    assert isinstance(shares, dict)
    names = loaded.workshop.head.names if loaded.workshop is not None else None
    found = []
    for name, n_bytes in shares.items():
        source = names.find(name) if names is not None else None
        if source is not None:
            what = f"the state of {name} takes about {_size(n_bytes)} at the expected scale"
            hint = f"weir rules explain {name} says what it shares with others"
            found.append(at_node("WR402", source.key, what, hint))
    return found


# ---- what is printed


def _print(
    form: str,
    findings: "Sequence[Finding]",
    loaded: "Loaded",
    cost: "Costs",
    weighed: "Weighed | None",
    counts: tuple[int, int],
) -> None:
    from rules.check import formats
    from rules.check.findings import as_text

    if form == "github":
        print(formats.as_github(findings), end="")
    elif form == "sarif":
        from importlib.metadata import version

        print(formats.as_sarif(findings, version("weir-fraud")))
    elif form == "json":
        summary = {
            "rules": loaded.n_rules,
            "features": loaded.n_features,
            "lists": loaded.n_lists,
            "errors": counts[0],
            "warnings": counts[1],
            "ns_per_event": cost.total_ns,
            "ns_per_event_of_rule": dict(cost.of_rule),
        }
        print(formats.as_json(findings, summary))
    else:
        print(as_text(findings), end="")
        if weighed is not None:
            from engine.windows import explain

            print(explain.cost_line(weighed))
        print(_summary(findings, loaded, cost, counts))


def _summary(
    findings: "Sequence[Finding]", loaded: "Loaded", cost: "Costs", counts: tuple[int, int]
) -> str:
    told = [
        _many(loaded.n_rules, "rule"),
        _many(loaded.n_features, "feature"),
        _many(loaded.n_lists, "list"),
    ]
    line = f"{', '.join(told)}: {_many(counts[0], 'error')}, {_many(counts[1], 'warning')}."
    if cost.total_ns:
        line += f"  Conditions about {cost.total_ns / 1000:.2f} us an event (estimated)."
    if findings:
        worst = next((f for f in findings if f.is_error), findings[0])
        line += f"  weir rules check --explain {worst.code}"
    return line


def _many(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
