"""`weir account`, `alerts`, `restrictions`, `transaction`, `mode`: the fraud desk at a terminal.

Verbs that look read the output folder, whether an engine runs or not; each call is recorded as those of `weir audit`
are, and personal values are shown as pseudonyms unless `--reveal` says otherwise. Verbs that change something ask the
running engine (replay/desk/orders.py), and what they ask becomes a record of its journal.

Only argparse is imported at the top, so that `weir --help` is quick; each verb imports what it needs.
"""

import argparse
import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from config.decisions import LEVELS
from replay.desk import orders

if TYPE_CHECKING:
    from replay.audit.tables import Report
    from replay.audit.veil import Veil
    from replay.desk.folder import Case, Standing

Parsers = orders.Parsers
IN_FORCE: Final = ("id", "on", "entity", "level", "amount", "channels", "state")
RESTRICTION: Final = (*IN_FORCE, "from", "until", "ended", "by", "reason", "order", "released by")
CASE: Final = (
    *("case", "state", "owner", "priority", "severity", "money", "alerts", "transactions", "rules"),
    *("opened", "last", "account"),
)
EXPORT: Final = (
    "case_id",
    "state",
    "owner",
    "verdict",
    "alert_id",
    "kind",
    "seq",
    "rule",
    "version",
    "severity",
)
EXPORT_MORE: Final = (
    *("queue", "reason", "event_time", "account", "transaction_id", "amount", "currency", "title"),
)
CLASSES: Final = ("low", "medium", "high")  # of ratings, see engine/ratings.py
STATES: Final = ("open", "assigned", "closed", "all")


def add_commands(commands: Parsers) -> None:
    """Add the groups account, alerts, restrictions and transaction, and the command mode."""
    _add_account(_group(commands, "account", "who is restricted and how; restrict and release"))
    _add_alerts(_group(commands, "alerts", "cases of alerts: list, show, assign, close, export"))
    _add_restrictions(_group(commands, "restrictions", "all restrictions; releases that need more"))
    _add_transaction(_group(commands, "transaction", "what becomes of a held transaction"))
    _add_mode(commands)


def _group(commands: Parsers, name: str, text: str) -> Parsers:
    group = commands.add_parser(name, help=text, description=text)
    verbs: Parsers = group.add_subparsers(metavar="VERB", required=True)
    return verbs


def _look(
    verbs: Parsers,
    name: str,
    run: "Callable[[argparse.Namespace], Report]",
    short: str,
    formats: tuple[str, ...] = ("text", "json"),
) -> argparse.ArgumentParser:
    """A verb that reads the folder."""
    from replay.audit.cli import add_verb

    about = f"{short}. Reads the folder; no engine is needed."
    verb = add_verb(verbs, name, run, short=short, about=about, formats=formats)
    verb.add_argument(
        "--json", dest="format", action="store_const", const="json", help="as --format json"
    )
    return verb


# ------------------------------------------------------------ account


def _add_account(verbs: Parsers) -> None:
    orders.add_entity(_look(verbs, "show", _account_show, "what restricts an entity, or did"))
    rated = _look(
        verbs,
        "ratings",
        _account_ratings,
        "risk ratings of customers, what they come from and how they moved in 30 days",
        formats=("text", "json", "csv"),
    )
    rated.add_argument("--customer", default="", metavar="ID", help="only this one")
    rated.add_argument("--class", dest="class_", choices=CLASSES, default="", help="only this one")
    rated.add_argument(
        "--movers", action="store_true", help="who moved most within 30 days, and nobody else"
    )
    rated.add_argument(
        "--limit", type=int, default=50, metavar="N", help="so many; 50 unless given"
    )
    restrict = orders.add_order(verbs, "restrict", _restrict, "Restrict an entity, with an end")
    orders.add_entity(restrict)
    restrict.add_argument("--level", required=True, choices=LEVELS, help="how")
    restrict.add_argument("--for", dest="for_", default="", metavar="24h", help="how long")
    restrict.add_argument("--until", default="", metavar="T", help="until when, in place of --for")
    restrict.add_argument("--amount", default="", metavar="A", help="of limit and amount_hold")
    restrict.add_argument(
        "--channel", action="append", default=[], metavar="C", help="only this one; may be repeated"
    )
    restrict.add_argument(
        "--order", default="", metavar="NO", help="number of an authority's order"
    )
    restrict.add_argument("--legal-basis", default="", metavar="TEXT", help="on what ground")
    orders.add_who(restrict)
    release = orders.add_order(verbs, "release", _release, "Release an entity")
    orders.add_entity(release)
    release.add_argument(
        "--id", default="", metavar="R", help="which restriction, if there are several"
    )
    release.add_argument("--all", action="store_true", help="all that are in force on the entity")
    release.add_argument("--order", default="", metavar="NO", help="order that lifts one by order")
    release.add_argument(
        "--discounted",
        action="append",
        default=[],
        metavar="RULE",
        help="a rule or alert that was wrong",
    )
    orders.add_release(release)
    orders.add_who(release)


def _account_show(arguments: argparse.Namespace) -> "Report":
    entity = orders.entity_of(arguments)
    found = {id_: one for id_, one in _known(arguments).items() if one.entity == entity}
    return _restriction_report(arguments, found)


def _account_ratings(arguments: argparse.Namespace) -> "Report":
    from replay.audit.cli import journal_key
    from replay.audit.veil import of_folder
    from replay.desk import ratings

    veil, remark = of_folder(arguments.out, reveal=arguments.reveal)
    found, _, core_us = ratings.ratings_of(arguments.out, journal_key(arguments))
    report = ratings.report(
        found,
        veil,
        core_us=core_us,
        class_=arguments.class_,
        customer=arguments.customer,
        movers=arguments.movers,
        limit=arguments.limit,
        as_text=arguments.format == "text",
    )
    report.remarks += [remark] if remark else []
    return report


def _known(arguments: argparse.Namespace) -> "dict[str, Standing]":
    """Every restriction, and what core banking has answered."""
    from replay.audit.cli import journal_key
    from replay.audit.inputs import read_inputs
    from replay.desk.folder import restrictions

    return restrictions(arguments.out, read_inputs(arguments.out, journal_key(arguments)))


def _restriction_report(arguments: argparse.Namespace, found: "dict[str, Standing]") -> "Report":
    from replay.audit.tables import Report, Section
    from replay.audit.veil import of_folder

    veil, remark = of_folder(arguments.out, reveal=arguments.reveal)
    now = Section("in_force", "In force", RESTRICTION)
    over = Section("ended", "Ended", RESTRICTION)
    for id_, one in found.items():
        (now if one.is_in_force else over).rows.append(_restriction_row(id_, one, veil))
    return Report([now, over], remarks=[remark] if remark else [])


def _restriction_row(id_: str, one: "Standing", veil: "Veil") -> tuple[Any, ...]:
    command, (domain, entity) = one.command, one.entity
    return (
        id_,
        domain,
        veil.value(domain, entity),
        command["level"],
        command["amount_minor"],
        ", ".join(command["channels"]) or None,
        one.state,
        command["started_at"],
        command["expires_at"],
        one.ended,
        command["rule"] or command["author"],
        veil.inside(command["reason"], {domain: entity}),
        command["order"],
        ", ".join(one.released_by) or None,
    )


def _restrict(arguments: argparse.Namespace) -> int:
    field, id_ = orders.entity_of(arguments)
    command: dict[str, Any] = {
        "command": "restrict",
        "entity": {field: id_},
        "level": arguments.level,
        "channels": arguments.channel,
        "order": arguments.order,
        "legal_basis": arguments.legal_basis,
    }
    given = {"for": arguments.for_, "expires_at": arguments.until, "amount": arguments.amount}
    command |= {name: value for name, value in given.items() if value}
    return orders.tell(arguments, orders.give(arguments, command))


def _release(arguments: argparse.Namespace) -> int:
    status = 0
    for id_ in _named(arguments):
        command = {
            "command": "release",
            "restriction_id": id_,
            "order": arguments.order,
            "legal_basis": arguments.legal_basis,
            "discounted": arguments.discounted,
            "verdict": arguments.verdict,
            "emergency": arguments.emergency,
        }
        status = max(status, orders.tell(arguments, orders.give(arguments, command)))
    return status


def _named(arguments: argparse.Namespace) -> list[str]:
    """Ids of the restrictions to release."""
    from config.errors import InputError
    from replay.audit.records import disk_of
    from replay.desk.folder import restrictions

    if arguments.id:
        return [arguments.id]
    entity = orders.entity_of(arguments)
    disk_of(arguments.out)  # says so if the folder is encrypted: then the id must be named
    found = {
        id_: one
        for id_, one in restrictions(arguments.out).items()
        if one.entity == entity and one.is_in_force
    }
    if not found:
        raise InputError(
            f"nothing is in force on {entity[0]} {entity[1]}",
            str(arguments.out),
            fix="look again with: weir account show",
        )
    if len(found) > 1 and not arguments.all:
        listed = ", ".join(f"{id_} ({one.command['level']})" for id_, one in found.items())
        raise InputError(
            f"{len(found)} restrictions are in force: {listed}",
            str(arguments.out),
            why="each is released by itself, for a reason of its own",
            fix="name one with --id, or add --all",
        )
    return list(found)


# ------------------------------------------------------------ alerts


def _add_alerts(verbs: Parsers) -> None:
    listed = _look(verbs, "list", _alerts_list, "cases, those of the highest priority first")
    listed.add_argument(
        "--state", choices=STATES, default="", help="all that are not closed unless given"
    )
    listed.add_argument("--owner", default="", metavar="ID", help="only those of one person")
    listed.add_argument("--queue", default="", metavar="Q", help="only those with an alert in it")
    listed.add_argument(
        "--limit", type=int, default=50, metavar="N", help="so many; 50 unless given"
    )
    show = _look(verbs, "show", _alerts_show, "one case: its alerts and transactions")
    show.add_argument("case", metavar="CASE", help="id of a case, or of an alert in it")
    assign = orders.add_order(verbs, "assign", _alerts_assign, "Give a case to somebody")
    assign.add_argument("case", metavar="CASE", help="id of the case")
    assign.add_argument("--to", default="", metavar="ID", help="to whom; to --by unless given")
    orders.add_who(assign)
    close = orders.add_order(verbs, "close", _alerts_close, "End a case with a verdict")
    close.add_argument("case", metavar="CASE", help="id of the case")
    close.add_argument(
        "--verdict",
        required=True,
        choices=("fraud", "genuine", "unclear"),
        help="of all its transactions; it comes back as labels",
    )
    close.add_argument(
        "--but",
        action="append",
        default=[],
        metavar="T=VERDICT",
        help="another verdict for one transaction; may be repeated",
    )
    orders.add_who(close)
    export = _look(verbs, "export", _alerts_export, "every alert with its case, as CSV")
    export.add_argument(
        "--csv", type=Path, metavar="FILE", help="where to; standard output unless given"
    )


def _shown(found: "dict[str, Case]", arguments: argparse.Namespace) -> "list[Case]":
    wanted = {"": ("open", "assigned"), "all": STATES}.get(arguments.state, (arguments.state,))
    return sorted(
        (
            case
            for case in found.values()
            if case.state in wanted
            and arguments.owner in ("", case.owner)
            and (not arguments.queue or arguments.queue in case.queues)
        ),
        key=lambda case: (-case.priority, case.id),
    )


def _alerts_list(arguments: argparse.Namespace) -> "Report":
    from replay.audit.tables import Report, Section
    from replay.audit.veil import of_folder
    from replay.desk.folder import cases

    veil, remark = of_folder(arguments.out, reveal=arguments.reveal)
    section = Section("cases", "Cases", CASE)
    found = _shown(cases(arguments.out), arguments)
    for case in found[: arguments.limit]:
        account = case.first.get("account")
        section.rows.append(
            (
                case.id,
                case.state,
                case.owner or None,
                str(case.priority),
                case.severity,
                str(case.money),
                len(case.alerts),
                len(case.transactions),
                ", ".join(case.rules),
                case.first["event_time"],
                case.last,
                veil.value("account", account),
            )
        )
    remarks = [remark] if remark else []
    if len(found) > arguments.limit:
        remarks.append(f"... and {len(found) - arguments.limit:,} more: --limit shows them")
    return Report([section], remarks=remarks)


def _alerts_show(arguments: argparse.Namespace) -> "Report":
    from config.errors import InputError
    from replay.audit.records import records
    from replay.audit.tables import Cell, Report, Section
    from replay.audit.veil import of_folder
    from replay.desk.folder import cases

    found = cases(arguments.out)
    case = found.get(arguments.case) or next(
        (c for c in found.values() if arguments.case in c.alerts), None
    )
    if case is None:
        raise InputError(
            f"no case or alert is known as `{arguments.case}`",
            str(arguments.out),
            fix="see them all: weir alerts list",
        )
    veil, remark = of_folder(arguments.out, reveal=arguments.reveal)
    facts: dict[str, Cell] = {
        "case": case.id,
        "state": case.state,
        "owner": case.owner or None,
        "verdict": case.verdict or None,
        "priority": str(case.priority),
        "severity": case.severity,
        "money": str(case.money),
    }
    columns = (
        "seq",
        "alert",
        "kind",
        "rule",
        "severity",
        "event time",
        "account",
        "transaction",
        "amount",
        "title",
    )
    section = Section("alerts", "Alerts", columns)
    for alert in records(arguments.out, "alerts"):
        if alert.get("case_id") == case.id:
            account = alert.get("account")
            about = {"account": account or "", **alert["entity"]}
            section.rows.append(
                (
                    alert["seq"],
                    alert["alert_id"],
                    alert["kind"],
                    alert["rule"],
                    alert["severity"],
                    alert["event_time"],
                    veil.value("account", account),
                    veil.value("transaction_id", alert.get("transaction_id")),
                    alert["amount"],
                    veil.inside(alert.get("title") or "", about) or None,
                )
            )
    return Report([section], facts=facts, remarks=[remark] if remark else [])


def _alerts_assign(arguments: argparse.Namespace) -> int:
    command = {"command": "assign", "case_id": arguments.case, "to": arguments.to}
    return orders.tell(arguments, orders.give(arguments, command))


def _alerts_close(arguments: argparse.Namespace) -> int:
    """Close a case; the engine takes in the labels that follow from it by itself."""
    from config.errors import InputError

    verdicts = {}
    for told in arguments.but:
        id_, mark, verdict = told.partition("=")
        if not mark:
            raise InputError(f"--but must be like t-17=genuine, was {told}")
        verdicts[id_] = verdict
    command = {
        "command": "close",
        "case_id": arguments.case,
        "verdict": arguments.verdict,
        "verdicts": verdicts,
    }
    answer = dict(orders.give(arguments, command))
    if answer.get("ok"):
        answer["labels"] = len(answer.get("labels", ()))
    return orders.tell(arguments, answer)


def _alerts_export(arguments: argparse.Namespace) -> "Report":
    from replay.audit.records import records
    from replay.audit.tables import Report, harmless
    from replay.audit.veil import of_folder
    from replay.desk.folder import cases

    veil, remark = of_folder(arguments.out, reveal=arguments.reveal)
    known = cases(arguments.out)
    file = arguments.csv.open("w", newline="", encoding="utf-8") if arguments.csv else sys.stdout
    try:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*EXPORT, *EXPORT_MORE))
        n = 0
        for alert in records(arguments.out, "alerts"):
            case = known.get(alert.get("case_id") or "")
            head = (case.id, case.state, case.owner, case.verdict) if case else ("", "", "", "")
            about = {"account": alert.get("account") or "", **alert.get("entity", {})}
            shown = {
                "account": veil.value("account", alert.get("account")),
                "transaction_id": veil.value("transaction_id", alert.get("transaction_id")),
                "title": veil.inside(alert.get("title") or "", about),
            }
            told = (shown.get(name, alert.get(name)) for name in (*EXPORT[4:], *EXPORT_MORE))
            writer.writerow([harmless(cell) for cell in (*head, *told)])
            n += 1
    finally:
        if arguments.csv:
            file.close()
    if remark:
        print(remark, file=sys.stderr)
    return Report(headline=f"{n:,} alerts in {arguments.csv}" if arguments.csv else "")


# ------------------------------------------------------------ restrictions


def _add_restrictions(verbs: Parsers) -> None:
    listed = _look(verbs, "list", _restrictions_list, "what is in force, on whom")
    listed.add_argument("--all", action="store_true", help="also what has ended")
    listed.add_argument("--rule", default="", metavar="RULE", help="only what one rule imposed")
    rule = orders.add_order(
        verbs,
        "release-rule",
        _release_rule,
        "Release what one rule did: first a dry run, then its token",
    )
    rule.add_argument("rule", metavar="RULE", help="id of the rule")
    rule.add_argument("--since", default="", metavar="T", help="of the dry run: imposed since then")
    rule.add_argument(
        "--token", default="", metavar="T", help="of the dry run: release what it has shown"
    )
    orders.add_release(rule)
    orders.add_who(rule)
    sign = orders.add_order(verbs, "countersign", _countersign, "Sign for a release by night duty")
    sign.add_argument("id", metavar="R", help="id of the restriction")
    orders.add_who(sign)
    appeal = orders.add_order(verbs, "appeal", _appeal, "Put a customer's appeal on record")
    appeal.add_argument("id", metavar="R", help="id of the restriction")
    orders.add_who(appeal)
    decide = orders.add_order(verbs, "decide-appeal", _decide_appeal, "Grant or refuse an appeal")
    decide.add_argument("id", metavar="APPEAL", help="id of the appeal")
    decide.add_argument("decision", choices=("granted", "refused"), help="what was decided")
    orders.add_release(decide)
    orders.add_who(decide)


def _restrictions_list(arguments: argparse.Namespace) -> "Report":
    found = {
        id_: one
        for id_, one in _known(arguments).items()
        if arguments.rule in ("", one.command["rule"])
    }
    report = _restriction_report(arguments, found)
    if not arguments.all:
        del report.sections[1]
    return report


def _release_rule(arguments: argparse.Namespace) -> int:
    from config.errors import InputError

    if bool(arguments.since) == bool(arguments.token):
        raise InputError(
            "`--since` or `--token` must be given, one of them",
            why="what is released is what somebody has looked at before",
            fix="first --since 2026-03-02T10:00:00Z, which releases nothing; then --token with what it answers",
        )
    command = {
        "command": "release_rule",
        "rule": arguments.rule,
        "since": arguments.since,
        "dry_run": not arguments.token,
        "token": arguments.token,
        "legal_basis": arguments.legal_basis,
        "verdict": arguments.verdict,
        "emergency": arguments.emergency,
    }
    return orders.tell(arguments, orders.give(arguments, command))


def _countersign(arguments: argparse.Namespace) -> int:
    command = {"command": "countersign", "restriction_id": arguments.id}
    return orders.tell(arguments, orders.give(arguments, command))


def _appeal(arguments: argparse.Namespace) -> int:
    command = {"command": "appeal", "restriction_id": arguments.id}
    return orders.tell(arguments, orders.give(arguments, command))


def _decide_appeal(arguments: argparse.Namespace) -> int:
    command = {
        "command": "decide_appeal",
        "appeal_id": arguments.id,
        "decision": arguments.decision,
        "legal_basis": arguments.legal_basis,
        "verdict": arguments.verdict,
    }
    return orders.tell(arguments, orders.give(arguments, command))


# ------------------------------------------------------------ transaction, mode


def _add_transaction(verbs: Parsers) -> None:
    for name, run, text in (
        ("resolve", _resolve, "Approve or decline a held transaction"),
        ("challenge-passed", _passed, "Say that the customer has passed a challenge"),
        ("challenge-failed", _failed, "Say that the customer has failed a challenge"),
    ):
        verb = orders.add_order(verbs, name, run, text)
        verb.add_argument("transaction", metavar="TRANSACTION", help="id of the transaction")
        verb.add_argument("--account", required=True, metavar="A", help="the account it is of")
        if name == "resolve":
            verb.add_argument("outcome", choices=("approve", "decline"), help="what becomes of it")
        orders.add_who(verb)


def _about_transaction(arguments: argparse.Namespace, name: str, **more: str) -> int:
    command = {
        "command": name,
        "transaction_id": arguments.transaction,
        "account": arguments.account,
        **more,
    }
    return orders.tell(arguments, orders.give(arguments, command))


def _resolve(arguments: argparse.Namespace) -> int:
    return _about_transaction(arguments, "resolve", outcome=arguments.outcome)


def _passed(arguments: argparse.Namespace) -> int:
    return _about_transaction(arguments, "challenge_passed")


def _failed(arguments: argparse.Namespace) -> int:
    return _about_transaction(arguments, "challenge_failed")


def _add_mode(commands: Parsers) -> None:
    modes = _group(commands, "mode", "whether commands reach core banking: the kill switch")
    show = _look(modes, "show", _mode_show, "what is sent to core banking at this moment")
    show.set_defaults(effect="")
    for name, text in (
        ("observe", "Send nothing more to core banking, at once; one person"),
        ("enforce", "Send commands again; two different people"),
    ):
        verb = orders.add_order(modes, name, _mode, text)
        verb.set_defaults(effect=name)
        orders.add_who(verb)


def _mode(arguments: argparse.Namespace) -> int:
    command = {"command": "mode", "effect": arguments.effect}
    return orders.tell(arguments, orders.give(arguments, command))


def _mode_show(arguments: argparse.Namespace) -> "Report":
    from config.settings import SETTINGS_FILE, read_settings
    from engine.durable.holding import is_being_written
    from replay.audit.tables import Cell, Report
    from replay.desk.folder import mode

    folder = orders.active_folder(arguments.out)
    settings = read_settings(folder / SETTINGS_FILE) if folder is not None else None
    effect, said = mode(arguments.out)
    of_settings = settings.effect if settings is not None else None
    if of_settings == "observe":  # an order never does more than the settings allow
        effect = "observe"
    facts: dict[str, Cell] = {
        "effect": effect or of_settings,
        "settings": of_settings,
        "by order": said or None,
        "sink": (settings.sink.webhook or settings.sink.file)
        if settings is not None and settings.sink is not None
        else None,
        "engine": "running" if is_being_written(arguments.out) else "not running",
    }
    return Report(facts={name: value for name, value in facts.items() if value is not None})
