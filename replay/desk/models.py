"""`weir models list|card|promote|freeze|unfreeze`: which model decides, what each is worth, and orders about them.

A running engine is asked; without one the newest snapshot is taken and the journal behind it decided again, up to its
last durable record, which gives the same. Orders always need the running engine, and become records of its journal.
"""

import argparse
import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from replay.desk import orders

if TYPE_CHECKING:
    from engine.setup import Setup
    from replay.audit.tables import Report

Parsers = orders.Parsers
Json = Mapping[str, Any]
LIST: Final = (
    *("model", "role", "kind", "learning", "known", "frauds"),
    *("log loss", "of the share alone", "AUC", "average precision", "precision at 1 %"),
)
FIGURES: Final = ("known", "frauds", "log_loss", "log_loss_of_the_share_alone")
VERDICTS: Final = ("decided", "labelled", "share_labelled", "share_at_maturity", "share_fraud")
FIGURES_MORE: Final = ("roc_auc", "average_precision", "precision_at_1_percent")


def add_verbs(verbs: Parsers) -> None:
    """Add list, card, promote, freeze and unfreeze to the group `models`."""
    from replay.audit.cli import add_verb

    listed = add_verb(
        verbs,
        "list",
        _list,
        short="every model: role, whether it learns, figures on matured transactions",
        about="Every model: role, whether it learns, and figures. Asks the running engine, or reads the folder.",
    )
    card = add_verb(
        verbs,
        "card",
        _card,
        short="the card of one model: what it reads, learned from, is worth, and cannot see",
        about="The card of one model: what it reads and learned from, its figures, calibration and history, how many "
        "decisions have a verdict, and its limits. Asks the running engine, or reads the folder.",
    )
    card.add_argument("model", metavar="MODEL", help="a model of models.yaml")
    for verb in (listed, card):
        verb.add_argument(
            "--json", dest="format", action="store_const", const="json", help="as --format json"
        )
    for name, text in (
        ("promote", "Make a model the champion; two people where settings require approval"),
        ("freeze", "Have a model learn nothing, its calibration included"),
        ("unfreeze", "Have a model learn again"),
    ):
        verb = orders.add_order(verbs, name, _order(name), text)
        verb.add_argument("model", metavar="MODEL", help="a model of models.yaml")
        orders.add_who(verb)


def _order(name: str) -> Callable[[argparse.Namespace], int]:
    def run(arguments: argparse.Namespace) -> int:
        command = {"command": name, "model": arguments.model}
        return orders.tell(arguments, orders.give(arguments, command))

    return run


# ------------------------------------------------------------ looking


def told(arguments: argparse.Namespace, model: str = "") -> Json:
    """What there is to know of all models, or of one."""
    from config.errors import InputError
    from engine.asking import ask
    from engine.durable.holding import is_being_written

    if is_being_written(arguments.out):
        answer = ask(arguments.out, {"command": "models", "model": model, "by": arguments.by})
        if not answer.get("ok"):
            what, why, fix = (str(answer.get(part) or "") for part in ("what", "why", "fix"))
            raise InputError(what, str(arguments.out), why, fix)
        return {k: v for k, v in answer.items() if k not in ("ok", "seq", "command")}
    return derived(arguments.out, model, _key(arguments))


def derived(root: Path, model: str, key: bytes | None = None) -> Json:
    """The same from the journal of a folder; `InputError` if it has none, or there is no such model."""
    from config.errors import InputError
    from engine.durable.disk import RealDisk
    from engine.durable.output import JOURNAL
    from engine.durable.rederive import Rederivation

    disk = RealDisk()
    if not disk.names(root / JOURNAL):
        raise InputError(
            "the folder has no journal",
            str(root),
            why="what models have learned is state of the engine, and is derived again from its journal",
            fix="run with `durability: sync` or `flush`",
        )
    again = Rederivation(disk, root, key=key)
    again.start(again.journal.seq_end)
    again.run_to(again.journal.seq_end)
    return again.core.governing.told(model, again.core.core_us)


def _key(arguments: argparse.Namespace) -> bytes | None:
    from replay.audit.cli import journal_key

    return journal_key(arguments)


def _list(arguments: argparse.Namespace) -> "Report":
    from replay.audit.tables import Report, Section

    found = told(arguments)
    section = Section("models", "Models", LIST)
    for one in found["models"]:
        figures = one.get("figures", {})
        numbers = tuple(figures.get(name) for name in (*FIGURES, *FIGURES_MORE))
        section.rows.append((one["model"], one["role"], one["kind"], one["learning"], *numbers))
    facts = {"champion": found["champion"], "core time": found.get("core_time")}
    remarks = []
    if "awaiting" in found:
        waits = found["awaiting"]
        remarks.append(
            f"{waits['by']} asks since {waits['at']} that {waits['model']} be the champion ({waits['reason']}): "
            "it takes a second person"
        )
    if "watched" in found:
        watched = found["watched"]
        remarks.append(
            f"{watched['model']} is watched against {watched['before']} until {watched['until']}: log loss "
            f"{watched.get('log_loss', 'unknown')} against {watched.get('log_loss_before', 'unknown')} on "
            f"{watched['known']} transactions, {watched['frauds']} called fraud"
        )
    return Report([section], facts, remarks)


def _card(arguments: argparse.Namespace) -> "Report":
    from engine.maturity import AGES, ANSWERS
    from replay.audit.tables import Report, Section

    found = told(arguments, arguments.model)
    setup = _setup(arguments.out)
    entry = setup.configuration.models.models[arguments.model]
    learned = found.get("learned", {})
    figures = found.get("figures", {})
    facts = {
        "model": found["model"],
        "role": found["role"],
        "kind": found["kind"],
        "parameters": ", ".join(f"{k} {v}" for k, v in sorted(entry.params.items())) or "defaults",
        "learning": found["learning"],
        "core time": found.get("core_time"),
        "learned from": "what it is fitted to" if entry.refit else _learned(learned),
        **{name.replace("_", " "): figures.get(name) for name in (*FIGURES, *FIGURES_MORE)},
    }
    reads = Section("reads", "Reads", ("name", "what it is"))
    reads.rows = _definitions(setup, arguments.model)
    fits = Section("fits", "Fits", ("closed at", "rows", "frauds", "seconds", "sha256 or skipped"))
    fits.rows = [
        (
            each.closed_at,
            each.rows,
            each.frauds,
            round(each.seconds, 1),
            each.sha256 or each.skipped,
        )
        for each in _fits(arguments, arguments.model)
    ]
    table = Section(
        "calibration", "Calibration", ("said from", "to", "transactions", "share called fraud")
    )
    table.rows = [
        (row["from"], row["to"], row["known"], row["share_fraud"])
        for row in figures.get("calibration", [])
    ]
    ages = Section("verdicts_by_age", "Decisions with a verdict, by age", ("age", "share"))
    answers = Section(
        "verdicts_by_answer",
        "Mature decisions with a verdict, by answer",
        ("answer", "decided", "labelled", "share", "share by maturity", "of fraud"),
    )
    verdicts = found.get("verdicts", {"by_age": {}, "by_answer": {}})
    by_age, by_answer = verdicts["by_age"], verdicts["by_answer"]
    ages.rows = [(age, by_age[age]) for age, _ in AGES if age in by_age]
    answers.rows = [
        (answer, *(by_answer[answer][name] for name in VERDICTS))
        for answer in ANSWERS
        if answer in by_answer
    ]
    changes = Section(
        "changes", "Changes", ("at", "champion", "before", "by", "approved by", "why")
    )
    changes.rows = [
        (c["at"], c["model"], c["before"], c["by"], c.get("approved_by"), c["reason"])
        for c in found.get("changes", [])
    ]
    sections = [reads, *([fits] if fits.rows else []), table, ages, answers, changes]
    return Report(sections, facts, limits(setup, found))


def _learned(learned: Json) -> str:
    if not learned:
        return "no label"
    count = f"{learned['labels']:,} labels, {learned['frauds']:,} of fraud"
    return f"{count}, from {learned['from']} to {learned['to']}"


def limits(setup: "Setup", found: Json) -> list[str]:
    """What a model cannot see, in sentences."""
    from models.registry import KINDS

    file = setup.configuration.models
    entry, kind = file.models[found["model"]], KINDS[found["kind"]]
    silence = f"A transaction without a verdict by {file.maturity} counts as not called fraud"
    told = [f"{silence}: figures are of what was reported, not of what was."]
    if entry.role == "shadow":
        told.append("A shadow is not calibrated and not compared; no live rule reads it.")
    if entry.refit is not None:
        told.append(
            f"It knows nothing younger than its last fit, every {entry.refit.every}, and has no score before the first."
        )
    if entry.of:
        told.append("It sees what its members see, and nothing else.")
    approved = found.get("verdicts", {}).get("by_answer", {}).get("approved", {})
    share = approved.get("share_labelled")
    if share is not None:
        told.append(
            f"Of approved transactions {share:.2%} have a verdict; fraud among the others is unknown."
        )
    text = " ".join((inspect.getdoc(kind.make) or "").split())
    told += re.findall(r"It does badly [^.]*\.", text)[:1]
    return told


def _definitions(setup: "Setup", model: str) -> list[tuple[Any, ...]]:
    """What a model reads: features with their text, fields, and members."""
    file, pack = setup.configuration.models, setup.pack
    entry = file.models[model]
    rows: list[tuple[Any, ...]] = [
        (name, f"model of kind {file.models[name].kind}") for name in entry.of
    ]
    for name in entry.inputs:
        feature = pack.features.get(name)
        what = (
            feature.text or feature.description if feature is not None else "field of the message"
        )
        rows.append((name, " ".join(what.split())))
    return rows


def _setup(root: Path) -> "Setup":
    """The active configuration of an output folder."""
    from config.errors import StateError
    from engine.setup import read_stored

    folder = orders.active_folder(root)
    if folder is None:
        raise StateError(
            "no configuration is stored in the folder",
            str(root),
            why="what a model reads stands there",
            fix="restore config/ of the output folder from a backup",
        )
    return read_stored(folder)


def _fits(arguments: argparse.Namespace, model: str) -> list[Any]:
    """What is on record of the fits of a model."""
    from engine.durable.disk import RealDisk
    from engine.durable.encrypted_disk import unlocked
    from engine.fits.records import RecordedFits

    disk = unlocked(RealDisk(), arguments.out, _key(arguments))
    return [each for each in RecordedFits.of(disk, arguments.out).answers() if each.model == model]
