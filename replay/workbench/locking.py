"""`weir rules lock` and `weir rules retire`: what stands for a version, and for an id, for ever."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from config.errors import ConfigError
from config.settings import BANK

if TYPE_CHECKING:
    from config import marks
    from rules import lock
    from rules.pack import Loaded


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    locks = verbs.add_parser(
        "lock",
        help="write down what each version of each rule does",
        description="Write PACK/rules.lock: for each rule its version and a digest of what it does, so that "
        "`weir rules check` notices a rule that changed under the same version. A rule whose version was locked with "
        "another body is refused. Versions that are live get the day as the one on which they first were.",
    )
    locks.add_argument("packs", nargs="+", type=Path, metavar="PACK")
    locks.add_argument("--by", default="", metavar="NAME", help="who locks them")
    locks.add_argument(
        "--approved-by", default="", metavar="NAME", help="who approved what has changed"
    )
    _add_common(locks)
    locks.set_defaults(command=_lock)
    retire = verbs.add_parser(
        "retire",
        help="take a rule out; its id is never used again",
        description="Move a rule out of its file into PACK/retired.yaml. Comments of other rules stay where they are, "
        "and nothing is written unless the files read as before without it.",
    )
    retire.add_argument("rule", metavar="RULE", help="its id")
    retire.add_argument("pack", type=Path, metavar="PACK")
    retire.add_argument("--why", required=True, metavar="TEXT", help="why it is gone")
    retire.add_argument(
        "--replaced-by",
        action="append",
        default=[],
        metavar="RULE",
        help="what does its work now; may be given several times",
    )
    _add_common(retire)
    retire.set_defaults(command=_retire)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--date", default="", metavar="DAY", help="in place of today: 2026-11-22")
    parser.add_argument(
        "--config", type=Path, default=BANK, metavar="DIR", help="whose schema applies"
    )


# ---- lock


@dataclass(frozen=True, slots=True)
class Locked:
    """What locking a pack came to; nothing was written where `refused` says why."""

    path: Path
    n_rules: int
    changes: "list[lock.Change]"
    refused: "list[lock.Change]"
    is_written: bool


def lock_pack(
    root: Path, config: Path, *, day: str = "", by: str = "", approved_by: str = ""
) -> Locked:
    """Write the lock of the pack in `root`, whole or not at all; one that says the same stays as it is.

    day : for versions that are live for the first time, today if not given
    Raises `ConfigError` if the pack has errors, the lock cannot be read, or one person locks and approves.
    """
    from rules import lock
    from rules.reader import Findings

    if by and by == approved_by:
        raise ConfigError(
            f"{by} cannot approve what {by} has locked",
            why="a second pair of eyes is what the approval is about",
            fix="name somebody else with --approved-by",
        )
    loaded, name = _loaded(root, config)
    findings = Findings()
    old = lock.read(root, findings)
    if findings.n_errors:
        broken = findings.all[0]
        raise ConfigError(broken.message, str(broken.place), fix=broken.hint)
    assert loaded.pack is not None
    now = lock.made(loaded, name)
    day = _day(day, loaded.pack.timezone)
    new = lock.renewed(old, now, day=day, locked_by=by, approved_by=approved_by)
    changes = lock.changes(old if old is None or old.form == new.form else None, new)
    refused = [change for change in changes if change.how in ("body", "back")]
    path, text = root / lock.FILE, lock.as_text(new)
    is_new = not path.is_file() or path.read_text(encoding="utf-8") != text
    if is_new and not refused:
        _write(path, text)
    n_rules = len(new.rules) + len(new.overrides)
    return Locked(path, n_rules, changes, refused, is_new and not refused)


def _lock(arguments: argparse.Namespace) -> int:
    status = 0
    for root in arguments.packs:
        locked = lock_pack(
            root,
            arguments.config,
            day=arguments.date,
            by=arguments.by,
            approved_by=arguments.approved_by,
        )
        for change in locked.refused or locked.changes:
            print(f"{change.rule:24s} {change.text}")
        if locked.refused:
            n = len(locked.refused)
            print(f"{locked.path}: not written: {n} changed under a version that is locked.")
            print("Raise their version: first (of an override: the version of the pack).")
            status = 1
        else:
            what = "written" if locked.is_written else "says so already"
            print(f"{locked.path}: {what}, {locked.n_rules} rules.")
    return status


# ---- retire


def _retire(arguments: argparse.Namespace) -> int:
    changed = retire(
        arguments.rule,
        arguments.pack,
        arguments.config,
        why=arguments.why,
        replaced_by=arguments.replaced_by,
        day=arguments.date,
    )
    for path in changed:
        print(f"changed: {path}")
    print(f"{arguments.rule} is retired. Lock the pack again: weir rules lock {arguments.pack}")
    return 0


def retire(
    rule: str,
    root: Path,
    config: Path,
    *,
    why: str,
    replaced_by: Sequence[str] = (),
    day: str = "",
) -> list[Path]:
    """Move a rule of the pack in `root` into its retired.yaml; return the files that changed.

    Raises `ConfigError` if the pack has errors, has no such rule, something still names it, or its file cannot be
    taken apart; then nothing has changed.
    """
    from config import marks
    from rules import retired
    from rules.check.suggest import did_you_mean

    loaded, name = _loaded(root, config)
    assert loaded.pack is not None
    assert loaded.workshop is not None
    own = {r.id for r in loaded.pack.rules if r.pack == name}
    if rule not in own:
        hint = did_you_mean(rule, own, "`") or "see its rules with: weir rules explain --all"
        raise ConfigError(f"there is no rule `{rule}` in pack {name}", str(root), fix=hint)
    if not why.strip():
        raise ConfigError("a retired rule needs a reason", fix="write --why TEXT")
    _check_named(loaded, rule, replaced_by)
    node = loaded.workshop.bases.get(rule) or loaded.workshop.nodes[rule]
    path = Path(node.source.file)
    day = _day(day, loaded.pack.timezone)
    item = retired.entry(rule, day, why, replaced_by)
    home = root / retired.FILE
    text = marks.read_text(home) if home.is_file() else ""
    there = path.resolve() == home.resolve()
    try:
        taken = retired.without(node, _rules_of(node))
        added = retired.with_entry(taken if there else text, item)
    except ValueError as error:
        fix = "take the rule out by hand, and write it under retired:"
        raise ConfigError(f"{rule} cannot be taken out: {error}", node.place(), fix=fix) from None
    _compare(path, node.source.text, added if there else taken, rule)
    if not there:
        _compare(home, text or "retired: []\n", added, rule)
    _write(home, added)  # first: an id that is both used and retired is noticed, a lost one is not
    if not there:
        _write(path, taken)
    return [home] if there else [path, home]


def _check_named(loaded: "Loaded", rule: str, replaced_by: Sequence[str]) -> None:
    """Refuse to retire what an override or a suppression names, and a successor that is not there."""
    assert loaded.pack is not None
    assert loaded.workshop is not None
    named = [o.rule.place() for o in loaded.workshop.overrides if o.rule.value == rule]
    named += [str(s.place) for s in loaded.pack.suppressions if s.rule == rule]
    if named:
        fix = "take these out first"
        raise ConfigError(f"`{rule}` is still named", ", ".join(named), fix=fix)
    known = {r.id for r in loaded.pack.rules} - {rule}
    for successor in replaced_by:
        if successor not in known:
            fix = "name a rule that is there"
            raise ConfigError(f"there is no other rule `{successor}`", "--replaced-by", fix=fix)


def _rules_of(rule: "marks.MapNode") -> "marks.ListNode":
    """The list that the rule stands in, read again from the text of its file; the rule is put into it."""
    from config import marks

    root, _ = marks.parse(rule.source.text, rule.source.file)
    assert isinstance(root, marks.MapNode)
    items = root["rules"]
    assert isinstance(items, marks.ListNode)
    again = [rule if item.start == rule.start else item for item in items]
    return marks.ListNode(items.source, items.start, items.end, again)


def _compare(path: Path, before: str, after: str, rule: str) -> None:
    """Read the new text of a file and refuse it unless it says the same but for the rule and its entry."""
    from config import marks

    said = []
    for text in (before, after):
        root, faults = marks.parse(text, str(path))
        plain = marks.plain(root) if root is not None and not faults else None
        assert isinstance(plain, dict), f"{path}: {faults}"
        said.append(plain)
    for content, gone, key in ((said[0], rule, "rules"), (said[1], rule, "retired")):
        items = content.get(key) or []
        assert isinstance(items, list)
        content[key] = [i for i in items if not (isinstance(i, dict) and i.get("id") == gone)]
    for content in said:
        for key in ("rules", "retired"):
            content[key] = content.get(key) or []
    assert said[0] == said[1], f"{path} would have changed in more than one rule"


def _loaded(root: Path, config: Path) -> "tuple[Loaded, str]":
    """The pack in `root` with those it extends, and its name; ConfigError naming the first error in them."""
    from config import rates, schema, settings
    from rules import pack

    configured = settings.read_settings(config / settings.SETTINGS_FILE)
    table = settings.rates_file(config, configured)
    columns = schema.read(config / settings.SCHEMA_FILE)
    loaded = pack.load([root], columns, rates.read(table) if table is not None else None)
    if loaded.pack is None:
        first = next(f for f in loaded.findings if f.is_error)
        raise ConfigError(
            f"the pack has {loaded.n_errors} errors",
            str(first.place),
            why=f"{first.code} {first.message}",
            fix=f"see them in full with: weir rules check {root}",
        )
    name = next(m.name for m in loaded.pack.members if m.root.resolve() == root.resolve())
    return loaded, name


def _day(text: str, zone: str) -> str:
    """A day as given, or today in the zone of the pack."""
    from engine.clock import SystemClock
    from rules.types import date_us

    if not text:
        now = datetime.fromtimestamp(SystemClock().now_us() / 1e6, UTC)
        return now.astimezone(ZoneInfo(zone)).date().isoformat()
    if date_us(text, ZoneInfo(zone)) is None:
        raise ConfigError(f"`--date` is a day, was {text}", fix="write it like 2026-11-22")
    return text


def _write(path: Path, text: str) -> None:
    from replay.workbench.writing import replace_text

    replace_text(path, text)
