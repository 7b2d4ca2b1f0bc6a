"""The difference between two packs as an analyst reads it."""

from collections.abc import Iterator, Sequence
from typing import Final

from config.durations import duration_text
from config.money import exponent, major_text
from replay.workbench.backtest_text import ESTIMATE, money
from replay.workbench.diff_traffic import Effect, Effects
from rules.diff import FOREVER, FeatureChange, ListChange, PackDiff, RuleChange

ROWS: Final = 8  # of a list that are shown by name
SAID: Final = {
    "same": "",
    "wider": "(strictly wider: every old match still matches)",
    "narrower": "(narrower: no event matches that did not before)",
    "other": "(other: some matches come, others go)",
    "unknown": "(whether wider or narrower could not be proven)",
}


def text_of(found: PackDiff, effects: Effects | None, names: tuple[str, str]) -> str:
    """Everything, for a terminal."""
    if found.is_empty:
        return f"no differences: {names[0]} and {names[1]} say the same"
    lines = [f"pack     {part}" for part in found.head]
    by_rule = {effect.rule: effect for effect in effects.rules} if effects else {}
    currency = effects.currency if effects else ""
    for change in found.rules:
        lines += _rule(change)
        if change.id in by_rule and change.kind != "wording":
            lines += _effect(by_rule.pop(change.id), currency)
    lines += [line for each in found.lists for line in _list(each)]
    lines += [f"table    {part}" for part in found.tables]
    lines += [_feature(each) for each in found.features]
    for effect in by_rule.values():
        lines += [f"{effect.rule}   the same rule over other lists", *_effect(effect, currency)]
    if effects is not None:
        lines += _together(effects)
    return "\n".join(lines)


def _rule(change: RuleChange) -> Iterator[str]:
    if change.kind == "new":
        yield f"{change.id} v{change.new_version}   new rule"
        return
    if change.kind == "gone":
        yield f"{change.id} v{change.old_version}   gone: retire its id, so that no other rule gets it"
        return
    head = f"{change.id} v{change.new_version}"
    if change.old_version != change.new_version:
        head = f"{change.id} v{change.old_version} -> v{change.new_version}"
    if change.kind == "wording":
        told = "wording and key order only; behaviour hash unchanged, no version bump needed"
        yield f"{head}   {told}"
        return
    parts = "   ".join(map(str, change.parts)) or ("when" if change.condition else "")
    yield "   ".join(filter(None, (head, parts, SAID[change.relation])))
    if change.condition is not None:
        yield f"    when was  {change.condition[0]}"
        yield f"    when is   {change.condition[1]}"
    if change.features:
        yield f"    reads with another meaning: {', '.join(change.features)}"
    if not change.is_raised:
        yield f"    ! its behaviour changed and its version did not: raise it above {change.old_version}"


def _effect(effect: Effect, currency: str) -> Iterator[str]:
    old, new = effect.old, effect.new
    parts = [
        _moved("alerts", old.alerts, new.alerts),
        _moved("fraud caught", old.frauds, new.frauds),
        f"new false alerts {new.other - old.other:+,}",
    ]
    if old.value_caught != new.value_caught:
        change = money(new.value_caught - old.value_caught, currency)
        sign = "+" if new.value_caught > old.value_caught else ""
        parts.append(f"value caught {money(new.value_caught, currency)} ({sign}{change})")
    parts += [
        f"{what}s {old.actions.get(what, 0):,} -> {new.actions.get(what, 0):,}"
        for what in dict.fromkeys((*old.actions, *new.actions))
    ]
    parts += [
        f"! cap {key} reached in {hours} hours (before: {old.cap_hours.get(key, 0)})"
        for key, hours in new.cap_hours.items()
    ]
    if effect.lost and not effect.frauds_lost:
        parts.append("no labelled fraud lost")
    yield f"    {'   '.join(parts)}"
    if effect.gained or effect.lost:
        yield (
            f"    events: {effect.gained:,} newly match ({effect.frauds_gained:,} frauds), "
            f"{effect.lost:,} no longer ({effect.frauds_lost:,} frauds)"
        )
    for example in effect.examples:
        amount = ""
        if example.amount is not None:
            amount = f"{major_text(example.amount, exponent(currency))} {currency}"
        yield (
            f"      {'+' if example.is_new else '-'} {example.event_time}  "
            f"{example.transaction_id or '(no transaction)'}  {amount}"
            f"{'  fraud' if example.is_fraud else ''}"
        )


def _moved(name: str, old: int, new: int) -> str:
    return f"{name} {old:,} -> {new:,} ({new - old:+,})" if old != new else f"{name} {new:,}"


def _list(change: ListChange) -> Iterator[str]:
    counts = f"+{len(change.added)} -{len(change.removed)} rows"
    said = {"new": "new list", "gone": "list is gone", "changed": ""}[change.kind]
    shown = [
        f"{sign} {_few(rows)}"
        for sign, rows in (("+", change.added), ("-", change.removed))
        if rows
    ]
    yield "   ".join(filter(None, (f"@{change.name}", said, counts, *shown)))


def _few(rows: Sequence[str]) -> str:
    more = f", {len(rows) - ROWS} more" if len(rows) > ROWS else ""
    return ", ".join(rows[:ROWS]) + more


def _feature(change: FeatureChange) -> str:
    if change.after is None:
        return f"feature {change.name}   gone"
    before = f"was {change.before}   is " if change.before is not None else "new: "
    warms = ""
    if change.warms_us:
        span = "all there is" if change.warms_us == FOREVER else duration_text(change.warms_us)
        warms = (
            f"   (reads {span} back: it is filled in from the journal, or warms up for that long)"
        )
    return f"feature {change.name}   {before}{change.after}{warms}"


def _together(effects: Effects) -> list[str]:
    old, new = effects.old.together, effects.new.together
    value = (old.value_caught, new.value_caught)
    decided = [
        f"{name} {effects.old.decisions.get(name, 0):,} -> {effects.new.decisions.get(name, 0):,}"
        for name in dict.fromkeys((*effects.old.decisions, *effects.new.decisions))
        if effects.old.decisions.get(name, 0) != effects.new.decisions.get(name, 0)
    ]
    lines = [
        "",
        (
            f"All rules over {effects.new.n_events:,} events with {effects.new.n_frauds:,} labelled frauds: "
            f"{_moved('alerts', old.alerts, new.alerts)}   {_moved('fraud caught', old.frauds, new.frauds)}   "
            f"value caught {money(value[0], effects.currency)} -> {money(value[1], effects.currency)}"
        ),
        f"Decisions: {', '.join(decided) or 'the same'}",
    ]
    lines += [f"note: {note}" for note in effects.notes]
    return [*lines, f"Actions were simulated. {ESTIMATE}"]
