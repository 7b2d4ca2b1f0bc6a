"""The demonstration's page: a table per kind of fraud, a table of honest look-alikes, the most telling decisions.

The figures come from replay/story.py; this module only puts them into words.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from config.money import major_text, minor_units
from config.reasons import SENTENCES
from replay.story import DIGITS, EASY, Command, Kind, Story, Telling
from rules.definitions import Reason

CURRENCY: Final = "CNY"
ZONE: Final = ZoneInfo("Asia/Shanghai")  # where the generated bank lives
NUMBERS: Final = ("No", "One", "Two", "Three", "Four", "Five")


def tell(story: Story, summary: Mapping[str, Any], reasons: Mapping[str, Reason]) -> str:
    """The story as a page of text. `summary` is that of the run, `reasons` say what the codes of the packs mean."""
    blocks = (table(story), _told(story.telling, reasons), _cost(story, summary))
    return "\n\n".join(blocks)


def table(story: Story) -> str:
    """Both tables: per typology and variant what was tried and noticed, per look-alike what was disturbed."""
    return f"{_fraud_table(story)}\n\n{_honest_table(story)}"


def _fraud_table(story: Story) -> str:
    frauds = [kind for kind in story.kinds if not kind.is_honest]
    lines = [
        "What was tried        easy: alerted   hard: alerted   noticed after (median)        at stake   stopped",
        *(_fraud_line(name, of) for name, of in _by_typology(frauds)),
        _fraud_line("all", frauds, is_total=True),
        "Stopped: challenged, held or declined. These fraudsters do not give up after the first answer. Rules and",
        "traffic come from one house: this shows that they fit, not what a real bank would see.",
    ]
    return "\n".join(lines)


def _by_typology(kinds: Iterable[Kind]) -> list[tuple[str, list[Kind]]]:
    found: dict[str, list[Kind]] = {}
    for kind in kinds:
        found.setdefault(kind.typology, []).append(kind)
    return list(found.items())


def _fraud_line(name: str, kinds: Sequence[Kind], *, is_total: bool = False) -> str:
    stake, stopped = sum(k.at_stake for k in kinds), sum(k.stopped for k in kinds)
    easy = [k for k in kinds if k.variant == EASY]
    hard = [k for k in kinds if k.variant != EASY]
    notice = "" if is_total else _notice(max(kinds, key=lambda k: k.n_disturbed))
    return (
        f"{name.replace('_', ' '):20s}{_alerted(easy):>15s}{_alerted(hard):>16s}   {notice:24s}"
        f"{_whole(stake):>14s}{_share(stopped, stake):>10s}"
    )


def _alerted(kinds: Sequence[Kind]) -> str:
    n, alerted = sum(k.n_attempts for k in kinds), sum(k.n_alerted for k in kinds)
    return f"{alerted} of {n}" if n else "-"


def _honest_table(story: Story) -> str:
    honest = [kind for kind in story.kinds if kind.is_honest]
    n, alerted = sum(k.n_attempts for k in honest), sum(k.n_alerted for k in honest)
    lines = ["Honest, and looks like fraud    events   alerted  not simply approved"]
    lines += [
        f"{k.typology.replace('_', ' '):30s}{k.n_attempts:8d}{k.n_alerted:10d}{k.n_disturbed:21d}"
        for k in honest
    ]
    lines.append(f"{'all':30s}{n:8d}{alerted:10d}{sum(k.n_disturbed for k in honest):21d}")
    lines.append(
        f"Of {story.n_honest:,d} honest transactions {_of(story.n_honest_alerted, story.n_honest)} raised or joined "
        f"an alert, {_of(story.n_honest_disturbed, story.n_honest)} were not simply approved, "
        f"{story.n_victims_disturbed:,d} of them on an account just robbed."
    )
    lines.append(
        f"{story.n_alerts:,d} alerts for people, {story.n_alerts_false:,d} of them without a fraud behind them; "
        f"{story.n_commands:,d} commands to core banking (recorded, not sent)."
    )
    if story.reports:
        each = ", ".join(f"{n:,d} {kind.replace('_', ' ')}" for kind, n in story.reports.items())
        lines.append(f"Reports that the law asks for: {each}.")
    return "\n".join(lines)


def _told(telling: Sequence[Telling], reasons: Mapping[str, Reason]) -> str:
    if not telling:
        return "No fraud was stopped by a rule."
    plural = "" if len(telling) == 1 else "s"
    lines = [f"{NUMBERS[len(telling)]} decision{plural}, and why"]
    for each in telling:
        mark, decision = each.mark, each.decision
        amount = _money(minor_units(mark.amount, DIGITS))
        lines.append(
            f"- {_local(mark.event_time)}  {amount}, account {mark.account}: "
            f"{decision.decision.upper()} (score {decision.score:g})"
        )
        for reason in decision.reasons:
            known = reasons.get(reason)
            lines.append(f"    {reason}: {known.sentence if known else SENTENCES[reason]}")
        if said := _for_the_customer([reasons[r] for r in decision.reasons if r in reasons]):
            lines.append(f"    the customer reads: {said}")
        lines += [f"    alert: {title}" for title in each.titles]
        lines += [f"    command: {_command(command)}" for command in each.commands]
        rules = ", ".join(f"{f.rule} v{f.version}" for f in decision.fired)
        lines.append(f"    rule {rules}; in truth {mark.attempt}")
    return "\n".join(lines)


def _for_the_customer(reasons: Sequence[Reason]) -> str:
    """One sentence: several would contradict each other, and beside a neutral one the others would tell."""
    spoken = [reason for reason in reasons if reason.customer]
    neutral = [reason for reason in spoken if not reason.tell]
    return next((reason.customer["en"] for reason in (*neutral, *spoken)), "")


def _cost(story: Story, summary: Mapping[str, Any]) -> str:
    speed = summary.get("speed", {})
    parts = [f"{story.n_transactions:,d} transactions"]
    if "seconds" in speed:
        parts.append(
            f"in {speed['seconds']:.1f} s ({speed.get('tx_per_second', 0):,d} a second, one process)"
        )
    latency = speed.get("batch_latency_ms", {})
    if latency:
        parts.append("batch " + ", ".join(f"{name} {ms:g} ms" for name, ms in latency.items()))
    if "memory_mb_max" in summary:
        parts.append(f"{summary['memory_mb_max']:,.0f} MB at most")
    return "What it cost: " + "; ".join([" ".join(parts[:2]), *parts[2:]])


def _command(command: Command) -> str:
    entity = " ".join(f"{name} {value}" for name, value in command.entity.items())
    until = f" until {_local(command.expires_at)}" if command.expires_at else ""
    return f"{command.verb} {entity} {command.level.replace('_', ' ')}".rstrip() + until


def _local(time: str) -> str:
    return datetime.fromisoformat(time).astimezone(ZONE).strftime("%Y-%m-%d %H:%M")


def _notice(kind: Kind) -> str:
    if not kind.n_disturbed:
        return "never"
    if not kind.n_before:
        return "at the first transaction"
    plural = "" if kind.n_before == 1 else "s"
    return f"{kind.n_before:g} transaction{plural}, {_duration(kind.delay_s)}"


def _duration(seconds: float) -> str:
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"


def _money(minor: int) -> str:
    whole, cents = major_text(minor, DIGITS).split(".")
    return f"{int(whole):,d}.{cents} {CURRENCY}"


def _whole(minor: int) -> str:
    return f"{round(minor / 10**DIGITS):,d} {CURRENCY}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "-"


def _of(part: int, whole: int) -> str:
    return f"{part:,d} ({part / whole:.3%})" if whole else f"{part:,d}"
