"""What a cluster computes of a part only, and who reads it (WR601, WR602, WR603): `weir rules check --cluster`."""

from collections.abc import Collection, Iterator, Mapping

from rules.check.findings import Finding, at_node
from rules.check.views import PackView
from rules.locality import Locality


def check(
    view: PackView, *, key: str, more: Collection[str], models: Mapping[str, Collection[str]]
) -> Iterator[Finding]:
    """Findings about packs that are to run in a cluster whose messages are distributed by `key`.

    more   : further fields whose values never stand in two partitions
    models : name of a model -> what it reads
    """
    locality = Locality(view.features, key, more)
    readers: dict[str, list[str]] = {}
    for rule in view.rules:
        if rule.rule.mode != "off":
            for name in locality.partial_inputs(rule.rule):
                readers.setdefault(name, []).append(rule.rule.id)
    for model, inputs in models.items():
        for name in inputs:
            if locality.keys_of(name):
                readers.setdefault(name, []).append(f"model {model}")
    yield from _features(view, locality, readers, key)
    for rule in view.rules:
        if rule.rule.mode == "off":
            continue
        partial = locality.partial_inputs(rule.rule)
        if partial:
            keys = sorted(frozenset().union(*map(locality.keys_of, partial)))
            what = f"rule {rule.rule.id} reads {_and(partial)}, which one partition sees a part of"
            hint = f"{_and(keys)} may stand in several partitions: see WR601 at the feature"
            yield at_node("WR602", rule.id_node, what, hint)
        for action in rule.rule.actions:
            far = ""
            if action.kind == "list_add":
                far = f"adds to {action.list_name} in the partition of the event only"
            elif action.kind == "restrict" and not locality.is_local(action.entity):
                far = f"restricts a {action.entity} for the decisions of that partition only"
            if far:
                what = f"rule {rule.rule.id} {far}"
                hint = "core banking hears of it; other partitions decide without it"
                yield at_node("WR603", rule.id_node, what, hint)


def _features(
    view: PackView, locality: Locality, readers: Mapping[str, Collection[str]], key: str
) -> Iterator[Finding]:
    sources = dict(view.names.sources)
    for rule in view.rules:
        sources |= rule.draft.names.sources
    for name, source in sources.items():
        keys = sorted(locality.keys_of(name)) if source.kind == "feature" else []
        if not keys:
            continue
        told = f", read by {_and(readers[name])}" if name in readers else ""
        what = f"feature {name} is partial in a cluster: {_and(keys)} may stand in several partitions{told}"
        hint = f"count by {key}, or accept it with `partial: accept` under `cluster` in weir.yaml"
        yield at_node("WR601", source.key, what, hint)


def _and(names: Collection[str]) -> str:
    few = list(names)[:4]
    more = len(names) - len(few)
    return ", ".join(few) + (f" and {more} more" if more else "")
