"""What rules compare with (WR207, WR208): baselines that the attack itself has raised, counts that count too much."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from config.durations import duration_text
from rules.check.findings import Finding, at_node
from rules.check.views import PackView, Text
from rules.definitions import Aggregate, Feature
from rules.features import Source
from rules.tree import BOOL, COMPARE, Node, Span

BASELINES: Final = frozenset({"avg", "quantile", "stddev", "max"})
_COMPARES: Final = frozenset({*COMPARE, "between"})
_KINDS: Final = frozenset({"type", "amount", "currency", "direction", "status"})
_PAYMENTS: Final = re.compile(
    r"(payment|transfer|transaction|purchase|withdrawal|deposit|authori[sz]ation|txn|auth)s?"
)


def check(view: PackView) -> Iterator[Finding]:
    for text in view.texts:
        if text.what != "macro":
            for node in text.tree.walk():
                if node.op in _COMPARES:
                    yield from _contaminated(text, _spelled(node, view), view)
    yield from _mixed(view)


# ---- WR207


def _contaminated(text: Text, node: Node, view: PackView) -> Iterator[Finding]:
    """A value of the event, or of a burst, against a baseline that includes it."""
    named = {str(n.value) for n in node.walk() if n.op == "column"}
    for side in node.args:
        fields = {n for n in named if n not in view.features}
        beside = [a for a in node.args if a is not side]
        others = {str(n.value) for a in beside for n in a.walk() if n.op == "column"}
        bursts = [b for name in others if (b := _aggregate(name, view)) is not None]
        for part in side.walk():
            if part.op != "column":
                continue
            name = str(part.value)
            base = _aggregate(name, view)
            if base is None or base.function not in BASELINES or base.argument is None:
                continue
            field = base.argument
            place = view.features[name].place
            if field.op == "column" and str(field.value) in fields and not base.prior:
                what = f"{name} includes the event itself, so that a large {field.value} raises its own bar"
                hint = f"add to {name} ({place}): until 1d ago, or prior"
                yield text.at("WR207", part, what, hint)
                return
            for burst in bursts:
                if _is_within(burst, base):
                    width = duration_text(burst.window.width_us or 0)
                    what = f"{name} includes the last {width}, which it is compared with"
                    hint = f"add to {name} ({place}): until {width} ago"
                    yield text.at("WR207", part, what, hint)
                    return


def _spelled(node: Node, view: PackView) -> Node:
    """The same with what features of features stand for, all of it where the name is: `amount / usual` may be one."""
    feature = view.features.get(str(node.value)) if node.op == "column" else None
    tree = feature.expression if feature is not None else None
    if tree is not None and tree.type.kind != BOOL and _aggregate(str(node.value), view) is None:
        return _placed(_spelled(tree, view), node.span)
    return replace(node, args=tuple(_spelled(arg, view) for arg in node.args))


def _placed(node: Node, span: Span | None) -> Node:
    return replace(node, args=tuple(_placed(arg, span) for arg in node.args), span=span)


def _is_within(burst: Aggregate, base: Aggregate) -> bool:
    """Whether a short window of the same thing lies inside the window of a baseline."""
    short, long = burst.window.width_us, base.window.width_us
    if short is None or long is None or short >= long or base.window.lag_us >= short:
        return False
    return burst.keys == base.keys and burst.argument == base.argument and not burst.window.lag_us


def _aggregate(name: str, view: PackView) -> Aggregate | None:
    """What a feature aggregates; of one that is `x ?? constant` or the like, what x aggregates."""
    feature = view.features.get(name)
    while feature is not None and feature.expression is not None:
        tree = feature.expression
        if tree.op != "??" or tree.args[0].op != "column":
            return None
        feature = view.features.get(str(tree.args[0].value))
    return feature.aggregate if feature is not None else None


# ---- WR208


def _mixed(view: PackView) -> Iterator[Finding]:
    """Counts that take in logins and the like, where the name or a title says payments."""
    titles = [a.title.text for v in view.rules for a in v.rule.actions if a.title is not None]
    said: dict[str, str] = {}
    for title in titles:
        for hole in re.finditer(r"\{([a-z_][a-z0-9_]*)[^{}]*\}((?:\W+\w+){1,2})", title):
            word = _PAYMENTS.search(hole[2])
            if word is not None:
                said.setdefault(hole[1], word[0])
    for name, feature in view.features.items():
        if not _counts_all(feature):
            continue
        word = next((w for part in name.split("_") if (w := _PAYMENTS.fullmatch(part))), None)
        called = said.get(name) or (word[0] if word is not None else "")
        source = view.names.find(name) or _own(view, name)
        if called and source is not None:
            what = f"{name} counts logins and other activities too, not only {_plural(called)}"
            hint = "write: of transaction, or say in its where what it counts"
            yield at_node("WR208", source.key, what, hint)


def _plural(word: str) -> str:
    return word if word.endswith("s") else f"{word}s"


def _own(view: PackView, name: str) -> Source | None:
    """A feature that stands inside a rule."""
    found = (v.draft.names.sources.get(name) for v in view.rules)
    return next((source for source in found if source is not None), None)


def _counts_all(feature: Feature) -> bool:
    """Whether a count takes in every kind of event that has its keys."""
    aggregate = feature.aggregate
    if aggregate is None or aggregate.function != "count" or aggregate.domain != "event":
        return False
    return aggregate.where is None or not _KINDS & set(aggregate.where.columns())
