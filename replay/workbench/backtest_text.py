"""The answer of a backtest as an analyst reads it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from config.money import exponent, major_text
from engine.outcomes import rfc3339
from replay.workbench import clauses
from replay.workbench.backtesting import Answer, Sweep, Variant
from replay.workbench.examples import SHOWN
from replay.workbench.scorecard import Card, Figures

ESTIMATE: Final = (
    "Counts are estimates: a hold, a freeze or a call would have changed what customers and fraudsters did next, and "
    "this traffic is what happened without it."
)
NAME: Final = 30  # characters of the first column
MILLION: Final = 1_000_000
_WITHHELD: Final = {
    "evidence": "too little evidence to block an account or customer (decisions.evidence_score of weir.yaml)",
    "automation": "automation had blocked the entity for as long as it may (decisions.automation_max)",
}
RULES_NAMED: Final = 3  # rules at most whose matches are named; of more, ask with --rule
FEW: Final = 5  # segments and overlaps shown in a line


def text_of(answer: Answer, seconds: float, *, again: str = "") -> str:
    """Everything, for a terminal; `again` says how to repeat it."""
    card, currency = answer.card, answer.currency
    lines = [_headline(card, seconds, answer.n_messages), _period(card)]
    lines += ["", f"{'':{NAME}s}{_HEAD}"]
    for figures in card.rules:
        lines += _rule(figures, currency)
        if figures.rule in answer.clauses:
            lines += clauses.lines(answer.clauses[figures.rule])
        elif not figures.matches and figures.evaluated and len(card.rules) <= RULES_NAMED:
            lines.append("  see which clause stops it with: --clauses")
        if answer.examples is not None and len(card.rules) <= RULES_NAMED and figures.matches:
            lines.append(f"  {_first(figures.matches)}:")
            lines += [f"    {line}" for line in answer.examples.lines(figures.rule)]
    if len(card.rules) > 1:
        lines += [_row("all of them, each event once", card.together, currency)]
    lines += _sweeps(answer.sweeps)
    ran = ", ".join(f"{member.name} {member.version}" for member in answer.setup.pack.members)
    lines += ["", f"Packs that ran together: {ran}", *_decisions(answer)]
    lines += _pack_caps(card.together)
    lines += [f"note: {note}" for note in answer.notes]
    lines += ["Actions were simulated. " + ESTIMATE]
    if again:
        lines.append(again)
    return "\n".join(lines)


_HEAD: Final = (
    f"{'matches':>9s}{'alerts':>8s}{'fraud':>8s}{'other':>8s}{'precision':>11s}{'recall':>9s}"
    f"{'value caught':>18s}{'per day':>9s}"
)


def money(minor: int, currency: str) -> str:
    """An amount that can be read at a glance.

    >>> money(184_012_300, "EUR"), money(1_990, "EUR")
    ('1.84 M EUR', '19.90 EUR')
    """
    digits = exponent(currency)
    major = minor / 10**digits
    if abs(major) >= MILLION:
        return f"{major / MILLION:,.2f} M {currency}"
    whole, dot, part = major_text(minor, digits).partition(".")
    return f"{int(whole):,}{dot}{part} {currency}"


def share(part: float | None) -> str:
    return "-" if part is None else f"{100 * part:.1f} %"


def day(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1e6, UTC).strftime("%Y-%m-%d")


def _headline(card: Card, seconds: float, n_messages: int) -> str:
    minutes, rest = divmod(round(seconds), 60)
    took = f"{minutes} m {rest:02d} s" if minutes else f"{seconds:.1f} s"
    evaluated = f"evaluated {card.evaluated:,}"
    undecided = f"undecided {card.undecided:,}"
    if card.undecided:
        name = next(iter(card.undecided_for))
        more = f" and {len(card.undecided_for) - 1} more" if len(card.undecided_for) > 1 else ""
        part = card.undecided / card.evaluated if card.evaluated else 0.0
        undecided += f" ({share(part)}, {name}{more} missing)"
    return (
        f"{card.days:,.0f} days, {card.n_events:,} events, {n_messages:,} messages in {took}.   "
        f"{evaluated}   {undecided}   excepted {card.excepted:,}"
    )


def _period(card: Card) -> str:
    if not card.n_events:
        return "No event lies in the period: nothing was evaluated."
    first, last = rfc3339(card.first_us), rfc3339(card.last_us)
    if card.mature_to_us is None:
        labels = "no transaction of the period is labelled as fraud, so there is no precision to speak of"
    elif card.mature_to_us < card.last_us:
        labels = (
            f"labels mature to {day(card.mature_to_us)} only: later frauds may not be known yet"
        )
    else:
        labels = "labels are mature for the whole period"
    return f"{first} to {last}; {card.n_frauds:,} labelled frauds; {labels}."


def _row(name: str, figures: Figures, currency: str) -> str:
    return (
        f"{name:{NAME}s}{figures.matches:>9,d}{figures.alerts:>8,d}{figures.fraud:>8,d}{figures.other:>8,d}"
        f"{share(figures.precision):>11s}{share(figures.recall):>9s}"
        f"{money(figures.value_caught, currency):>18s}{figures.per_day:>9.1f}"
    )


def _rule(figures: Figures, currency: str) -> list[str]:
    mode = f" ({figures.mode})" if figures.mode != "live" else ""
    lines = [_row(f"{figures.rule}{mode}", figures, currency)]
    facts = []
    if figures.n_undecided:
        names = ", ".join(f"{n} {m:,}" for n, m in list(figures.undecided.items())[:3])
        part = figures.n_undecided / figures.evaluated if figures.evaluated else 0.0
        facts.append(f"undecided {figures.n_undecided:,} ({share(part)}: {names})")
    facts += [
        f"{word} {many:,}"
        for word, many in (
            ("excepted", figures.excepted),
            ("suppressed", figures.suppressed),
            ("outside its rollout", figures.outside),
            ("score missing", figures.degraded),
        )
        if many
    ]
    if facts:
        lines.append("  " + "   ".join(facts))
    if figures.matches:
        fresh, worth = figures.not_already
        told = f"not already caught by a live rule: {fresh:,} frauds, {money(worth, currency)}"
        overlap = _listed([f"{name} {many:,}" for name, many in figures.overlap.items()])
        reporting = _listed([f"{name} {many:,}" for name, many in figures.reporting.items()])
        more = f"     rules that only report: {reporting}" if reporting else ""
        lines.append(f"  {told}     overlap: {overlap or 'none'}{more}")
    if figures.segments:
        parts = [f"{name} {bad}/{n}" for name, (bad, n) in figures.segments.items()]
        lines.append(f"  by segment: {', '.join(parts)} (alerts with fraud / all)")
    lines += _acts(figures)
    return lines


def _first(n: int) -> str:
    return (
        "matched" if n <= SHOWN else f"the first {SHOWN} of {n:,} matched (--format json has all)"
    )


def _acts(figures: Figures) -> list[str]:
    parts = [f"{many:,} {what}" for what, many in figures.actions.items()]
    if not parts and not figures.capped:
        return []
    live = "" if figures.mode == "live" else "as if live "
    line = f"  would {live}ask for: {', '.join(parts) or 'nothing'}"
    for key, hours in figures.cap_hours.items():
        line += f"   ! cap {key} reached in {hours} hour{'s' if hours != 1 else ''}"
        line += f", {figures.capped.get(key, 0):,} withheld"
    return [line]


def _pack_caps(together: Figures) -> list[str]:
    """What was withheld by limits that belong to no single rule."""
    withheld = [
        f"! {together.capped[key]:,} restrictions withheld: {why}"
        for key, why in _WITHHELD.items()
        if together.capped.get(key)
    ]
    return withheld + [
        f"! {key}: the limit of all rules together was reached in {hours} hours, "
        f"{together.capped.get(key, 0):,} withheld"
        for key, hours in together.cap_hours.items()
        if key.startswith("pack:")
    ]


def _sweeps(sweeps: Sequence[tuple[Sweep, Sequence[Variant]]]) -> list[str]:
    lines = []
    for sweep, variants in sweeps:
        cells = [
            f"{v.value} {v.figures.fraud}/{v.figures.alerts}{'*' if v.is_current else ''}"
            for v in variants
        ]
        lines.append(f"Sweep {sweep.rule}.params.{sweep.param}:  {'   '.join(cells)}")
    if lines:
        current = any(v.is_current for _, variants in sweeps for v in variants)
        lines.append(f"  (fraud/alerts{'; * current' if current else ''})")
        lines.insert(0, "")
    return lines


def _decisions(answer: Answer) -> list[str]:
    card = answer.card
    decided = ", ".join(f"{name} {many:,}" for name, many in card.decisions.items())
    lines = [f"Decisions as if live: {decided or 'none'}"]
    if answer.without is not None:
        which = "it" if len(card.rules) == 1 else "them"
        found = [f"{name} {many:,}" for name, many in answer.without.items()]
        lines.append(f"Without {which}:{'':{13 - len(which)}s}{', '.join(found) or 'none'}")
    lines.append(f"Scores as if live:    {_scores(card.scores)}")
    told = "(as if live: the rules asked about act, whatever their mode"
    if card.scores_shadow != card.scores:
        lines.append(f"Scores with shadow:   {_scores(card.scores_shadow)}")
        told += "; with shadow: rules in shadow add no points, as their packs say"
    lines.append(f"  {told})")
    return lines


def _scores(scores: Mapping[int, int]) -> str:
    parts = []
    for low, many in scores.items():
        name = "0" if low < 0 else f"{max(low, 1)}-{1000 if low == 900 else low + 99}"
        parts.append(f"{name}: {many:,}")
    return "   ".join(parts)


def _listed(parts: Sequence[str]) -> str:
    more = f", {len(parts) - FEW} more" if len(parts) > FEW else ""
    return ", ".join(parts[:FEW]) + more
