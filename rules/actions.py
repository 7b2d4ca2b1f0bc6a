"""Actions of a rule: from the words of the file, sugar included, to `Action` of rules/definitions.py.

freeze {scope: card | account | customer}      restrict at full_freeze
freeze {scope: account.outgoing}               restrict account at no_debit
freeze {scope: online_banking}                 restrict customer at no_debit, in the online channels
restrict {scope: ...}                          the same words as freeze
tag: name, decline: code                       short for {name: ...}, {code: ...}

report {kind: large_cash, to: pboc, due: 5 working days, by: [customer], title: ...}
    no alert, no decision; `due` is working days (less the dates of a list `holidays`, plus those of a list `workdays`)
    or a duration from the local midnight at which the day begins
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from typing import Final

from config import marks
from config.decisions import DECISIONS, RESTRICTABLE
from rules import language, templates
from rules.check.suggest import did_you_mean
from rules.definitions import Action, Template
from rules.keys import key_field
from rules.reader import NAME, Findings, Reader, Text, place
from rules.syntax import duration_us, parse
from rules.tree import ID, Node
from rules.types import Checker, Scope, column_type

SCOPES: Final[dict[str, tuple[str, str]]] = {
    "card": ("card", "full_freeze"),
    "account": ("account", "full_freeze"),
    "customer": ("customer", "full_freeze"),
    "account.outgoing": ("account", "no_debit"),
    "online_banking": ("customer", "no_debit"),
}
ONLINE: Final = ("online", "web", "mobile", "app", "api")
FREEZE_MAX_US: Final = 72 * 3_600_000_000
DUE_MAX_US: Final = 3_650 * 86_400_000_000
FOR_MAX: Final[Mapping[str, tuple[str, int]]] = {  # as written, microseconds
    "challenge": ("7d", 7 * 86_400_000_000),
    "hold": ("30d", 30 * 86_400_000_000),
    "list_add": ("3650d", DUE_MAX_US),
}
_HARD: Final = frozenset({"no_debit", "no_credit", "full_freeze"})
_WORKING_DAYS: Final = re.compile(r"([0-9]{1,3}) working days?")
_SPAN: Final = re.compile(r"(?:[0-9]+(?:ms|s|m|h|d|w))+")


class Actions:
    """Reads the actions of one rule."""

    def __init__(self, findings: Findings, scope: Scope, severity: str | None) -> None:
        self.findings, self.scope, self.severity = findings, scope, severity

    def read(self, items: list[marks.Node]) -> tuple[Action, ...]:
        found = (self._one(item) for item in items)
        return tuple(a for a in found if a is not None)

    def _one(self, item: marks.Node) -> Action | None:
        if not isinstance(item, marks.MapNode) or len(item) != 1:
            what = "an action is one word with its details"
            self.findings.at(
                "WR027", item, what, "write for instance - alert: {queue: cards-l1, title: ...}"
            )
            return None
        key, body = next(item.items())
        kind = key.value
        if kind not in language.ACTIONS:
            what = f'action "{kind}" is not one of {", ".join(language.ACTIONS)}'
            self.findings.at("WR021", key, what, did_you_mean(kind, language.ACTIONS))
            return None
        shape = language.ACTIONS[kind]
        if isinstance(body, marks.TextNode) and shape.short and body.value:
            name = shape.short
            short = marks.TextNode(key.source, key.start, key.end, name, "")
            body = marks.MapNode(body.source, body.start, body.end, {name: short}, {name: body})
        read: dict[str, Callable[[marks.TextNode, Reader], Action | None]] = {
            "alert": self._alert,
            "challenge": self._challenge,
            "hold": self._hold,
            "decline": self._decline,
            "restrict": self._restrict,
            "freeze": self._restrict,
            "notify": self._notify,
            "list_add": self._list_add,
            "tag": self._tag,
            "report": self._report,
        }
        reader = Reader(body, self.findings, kind, shape)
        action = read[kind](key, reader) if reader.map is not None else None
        reader.done()
        return action

    def _alert(self, key: marks.TextNode, r: Reader) -> Action:
        queue = r.text("queue")
        return Action("alert", place(key), queue=queue, title=self._title(r), asked="alert")

    def _title(self, r: Reader) -> Template | None:
        node = r.scalar("title")
        if node is None:
            return None
        text = Text(node, self.findings)
        scope = replace(self.scope, reads=self.scope.reads | {"reasons"})
        return templates.read(
            node.value,
            scope,
            text,
            lambda found, checker: text.problems(found, checker.money_literals, scope.currency),
        )

    def _challenge(self, key: marks.TextNode, r: Reader) -> Action:
        method, for_us = r.text("method"), self._for(key, r)
        return Action("challenge", place(key), method=method, for_us=for_us, asked="challenge")

    def _for(self, key: marks.TextNode, r: Reader) -> int:
        """How long an action lasts: what nobody decides must have an end that somebody lives to see."""
        for_us = r.duration("for")
        node = r.map.get("for") if r.map is not None else None
        most, most_us = FOR_MAX[key.value]
        if node is not None and for_us > most_us:
            self.findings.at("WR025", node, f"a {key.value} lasts at most {most}", f"write {most}")
        return for_us

    def _hold(self, key: marks.TextNode, r: Reader) -> Action:
        for_us = self._for(key, r)
        then = r.word("then")
        cap = r.whole("max_per_hour", 0, low=1)
        return Action("hold", place(key), for_us=for_us, then=then, max_per_hour=cap, asked="hold")

    def _decline(self, key: marks.TextNode, r: Reader) -> Action:
        return Action("decline", place(key), code=r.text("code"), asked="decline")

    def _notify(self, key: marks.TextNode, r: Reader) -> Action:
        template, to = r.text("template"), r.text("to")
        return Action("notify", place(key), template=template, to=to, asked="notify")

    def _tag(self, key: marks.TextNode, r: Reader) -> Action:
        return Action("tag", place(key), tag=r.text("name"), asked="tag")

    def _list_add(self, key: marks.TextNode, r: Reader) -> Action:
        name_node = r.scalar("list")
        name = name_node.value.removeprefix("@") if name_node is not None else ""
        if name_node is not None and name not in self.scope.lists:
            hint = did_you_mean(name, self.scope.lists, "")
            self.findings.at("WR103", name_node, f"unknown list @{name}", hint)
        node = r.scalar("value")
        value = self._value(node, name) if node is not None else None
        for_us = self._for(key, r)
        cap = r.whole("max_per_hour", 0, low=1)
        return Action(
            "list_add",
            place(key),
            list_name=name,
            value=value,
            for_us=for_us,
            max_per_hour=cap,
            asked="list_add",
        )

    def _value(self, node: marks.TextNode, list_name: str) -> Node:
        text = Text(node, self.findings)
        tree, problems = parse(node.value)
        checker = Checker(node.value, self.scope, text)
        value = checker.check(tree)
        text.problems(problems, checker.money_literals, self.scope.currency)
        definition = self.scope.lists.get(list_name)
        if definition is not None and value.op == "column" and value.type != definition.type:
            what = f"{checker.says(tree, value)}, @{list_name} is a list of {definition.type}"
            text("WR120", tree.span, what)
        elif value.op != "column" and not text.n_errors:
            text(
                "WR120",
                tree.span,
                "what is added to a list is a field",
                "write for instance value: counterparty",
            )
        return value

    # ---- reports

    def _report(self, key: marks.TextNode, r: Reader) -> Action:
        kind = r.scalar("kind")
        if kind is not None and not NAME.fullmatch(kind.value):
            hint = "names are small letters, digits and underscores, such as large_cash"
            self.findings.at("WR023", kind, f'"{kind.value}" is not a kind of report', hint)
        to = r.text("to")
        working_days, for_us = self._due(r)
        by = [key_field(n, n.value, self.findings, self.scope) for n in r.texts("by")]
        holidays, workdays = (
            self._dates(r, name, fits=working_days > 0) for name in ("holidays", "workdays")
        )
        return Action(
            "report",
            place(key),
            report=kind.value if kind is not None else "",
            to=to,
            title=self._title(r),
            by=tuple(dict.fromkeys(name for name in by if name)),
            due_working_days=working_days,
            for_us=for_us,
            holidays=holidays,
            workdays=workdays,
            asked="report",
        )

    def _due(self, r: Reader) -> tuple[int, int]:
        """Working days, or microseconds; one of the two is 0."""
        node = r.scalar("due")
        if node is None:
            return 0, 0
        match = _WORKING_DAYS.fullmatch(" ".join(node.value.split()))
        us = duration_us(node.value)
        if match is not None and int(match[1]) > 0:
            return int(match[1]), 0
        if us and us <= DUE_MAX_US:
            return 0, us
        what = f'due "{node.value}" says no time'
        if us != 0 and _SPAN.fullmatch(node.value):
            what = f'due "{node.value}" is more than ten years'
        self.findings.at("WR025", node, what, "write for instance 5 working days, 10d or 24h")
        return 0, 0

    def _dates(self, r: Reader, key: str, *, fits: bool) -> str:
        """Name of a list of dates; a date in another spelling would count for nothing."""
        node = r.scalar(key)
        if node is None:
            return ""
        if not fits:
            self.findings.at("WR020", r.key(key), f'"{key}" has a meaning for working days only')
            return ""
        name = node.value.removeprefix("@")
        definition = self.scope.lists.get(name)
        if definition is None:
            hint = did_you_mean(name, self.scope.lists, "")
            self.findings.at("WR103", node, f"unknown list @{name}", hint)
            return ""
        for value in sorted(definition.values):
            if not _is_date(value):
                what = f'@{name} holds "{value}", which is not a date'
                self.findings.at("WR024", node, what, "write dates as 2026-10-01")
                break
        return name

    # ---- restrictions

    def _restrict(self, key: marks.TextNode, r: Reader) -> Action:
        asked = key.value
        amount = 0
        channels: tuple[str, ...] = ()
        if asked == "freeze" or r.get("scope") is not None:
            scope = r.word("scope", "account")
            entity, level = SCOPES[scope]
            if scope == "online_banking":
                channels = self._online()
        else:
            entity = self._entity(r)
            level = r.word("level", "no_debit", wanted=True)
            channels = self._channels(r)
            amount = self._amount(r, level)
        if self.scope.schema.columns.get(entity) is None:
            self.findings.at("WR101", r.node, f'the schema has no field "{entity}" to restrict')
        for_us, cap = self._bounds(key, r, level)
        return Action(
            "restrict",
            place(key),
            for_us=for_us,
            entity=entity,
            level=level,
            channels=channels,
            max_per_hour=cap,
            amount_minor=amount,
            asked=asked,
        )

    def _entity(self, r: Reader) -> str:
        node = r.scalar("entity", wanted=True)
        if node is None:
            return "account"
        column = self.scope.schema.columns.get(node.value)
        if column is None or column.kind != ID or column.domain not in RESTRICTABLE:
            known = [
                n
                for n, c in self.scope.schema.columns.items()
                if c.kind == ID and c.domain in RESTRICTABLE
            ]
            what = f'"{node.value}" cannot be restricted'
            hint = did_you_mean(node.value, known) or "known: " + ", ".join(known)
            self.findings.at("WR021", node, what, hint)
            return "account"
        return node.value

    def _online(self) -> tuple[str, ...]:
        column = self.scope.schema.columns.get("channel")
        known = column.allowed if column is not None else ()
        return tuple(c for c in ONLINE if not known or c in known)

    def _channels(self, r: Reader) -> tuple[str, ...]:
        column = self.scope.schema.columns.get("channel")
        known = column.allowed if column is not None else ()
        nodes = r.texts("channels")
        for node in nodes:
            if known and node.value not in known:
                what = f'channel is never "{node.value}" by the schema'
                hint = did_you_mean(node.value, known) or "known: " + ", ".join(known)
                self.findings.at("WR123", node, what, hint)
        return tuple(n.value for n in nodes)

    def _amount(self, r: Reader, level: str) -> int:
        node = r.scalar("amount", wanted=level == "limit")
        if node is None:
            return 0
        if level not in ("limit", "amount_hold"):
            self.findings.at("WR020", r.key("amount"), f'"amount" has no meaning at level {level}')
            return 0
        text = Text(node, self.findings)
        tree, problems = parse(node.value)
        checker = Checker(node.value, self.scope, text)
        value = checker.check(tree)
        given = checker.as_money(tree, value) if value.type.kind == "number" else value
        text.problems(problems, checker.money_literals, self.scope.currency)
        if (
            given is None
            or given.op != "const"
            or not isinstance(given.value, float)
            or given.value < 0
        ):
            if not text.n_errors:
                text("WR026", tree.span, "amount is a written amount", "write for instance 500 EUR")
            return 0
        if given.type != column_type(self.scope.schema.columns["amount"], self.scope.currency):
            text("WR120", tree.span, f"{checker.says(tree, value)}, an amount is wanted here")
        return int(given.value)

    def _bounds(self, key: marks.TextNode, r: Reader, level: str) -> tuple[int, int]:
        """A restriction that has no end, or can happen any number of times, lets one bad rule stop a bank."""
        absent = [name for name in ("for", "max_per_hour") if r.map is None or name not in r.map]
        if absent:
            named = " and ".join(f'"{n}:"' for n in absent)
            self.findings.at("WR323", key, f"{key.value} needs {named}")
        for_us = r.duration("for", wanted=False)
        cap = r.whole("max_per_hour", 0, low=1, high=1_000_000, wanted=False)
        node = r.map.get("for") if r.map is not None else None
        if node is not None and for_us > FREEZE_MAX_US and level != "watch":
            what = "automation restricts for at most 72h"
            self.findings.at("WR324", node, what, "a person can extend it")
        if (
            node is not None
            and for_us == 0
            and isinstance(node, marks.TextNode)
            and node.value == "0s"
        ):
            self.findings.at("WR025", node, '"for" must be longer than nothing')
        hard = key.value == "freeze" or level in _HARD
        if hard and self.severity in ("low", "medium"):
            what = f"a rule of severity {self.severity} must not {key.value} at {level}"
            self.findings.at("WR322", key, what, "raise the severity to high, or hold instead")
        return for_us, cap


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


assert set(language.HOLD_THEN) - {"release"} <= set(DECISIONS)
assert tuple(SCOPES) == language.SCOPES
