"""The examples of the pages: for each code what is wrong, and the same made right.

An example is a part of a rule (its keys stand at the left), or sections of a file, or several files of packs, each
after a line `# file: core/pack.yaml`. `built` makes whole packs of it, with a rule and a head where the example leaves
them out; tests check them, and what an analyst copies from a page works.
"""

# ruff: noqa: E501 - an example is shown as it is written

import re
from collections.abc import Mapping
from typing import Final, NamedTuple


class Example(NamedTuple):
    """`when` is the condition of the rule around sections of a file; `head` replaces lines of pack.yaml."""

    wrong: str
    right: str
    when: str = "amount > 500 EUR"
    more: str = ""  # further keys of the rule around sections, not shown on the page
    runs: bool = True  # False where a text alone does not bring the finding about


HEAD: Final = """pack: example
version: 1.0.0
language: 1
currency: EUR
timezone: Europe/Berlin
retention: 400d
max_freezes_per_hour: 50
decision:
  combine: sum
  bands: [{from: 0, to: 500, do: approve}, {from: 500, to: 1000, do: review}]
reasons: {TEST: A reason for examples}
"""
_RULE: Final[Mapping[str, str]] = {
    "id": "R-1",
    "name": "A rule",
    "version": "1",
    "owner": "fraud",
    "severity": "high",
    "reason": "TEST",
    "on": "payment",
    "mode": "shadow",
    "when": "amount > 500 EUR",
    "score": "100",
    "tests": """
  - name: either way
    start: 2026-03-02T10:00:00Z
    defaults: {type: payment, account: A1}
    events:
      - {at: +0m, amount: 1 EUR}
      - {at: +1m, amount: 900 EUR, expect: fires}""",
}
_SECTIONS: Final = frozenset(
    {"rules", "lists", "tables", "macros", "reasons", "overrides", "suppressions", "retired"}
)
_FILE: Final = re.compile(r"^# file: (\S+)\n", re.MULTILINE)
_KEY: Final = re.compile(r"^([a-z_]+):", re.MULTILINE)


def built(example: Example, text: str) -> dict[str, str]:
    """Return the files of the packs that an example stands for: path -> text, the first pack is `example`."""
    if _FILE.match(text):
        parts = _FILE.split(text)[1:]
        return dict(zip(parts[::2], parts[1::2], strict=True))
    files = {"example/pack.yaml": HEAD}
    keys = _KEY.findall(text)
    if "pack" in keys:
        return {"example/pack.yaml": text, "example/rule.yaml": rule(f"when: {example.when}\n")}
    if _SECTIONS & set(keys) or example.when != Example._field_defaults["when"]:
        files["example/example.yaml"] = text
        if "rules" not in keys:
            files["example/rule.yaml"] = rule(f"when: {example.when}\n{example.more}")
        return files
    files["example/rule.yaml"] = rule(text + example.more)
    return files


def rule(text: str) -> str:
    """A file with one rule whose keys are those of `text`, and the usual ones where it has none."""
    given = set(_KEY.findall(text))
    lines = [f"{key}: {value}" for key, value in _RULE.items() if key not in given]
    body = "\n".join([*lines, text.rstrip("\n")])
    indented = "\n".join(f"    {line}" if line.strip() else line for line in body.split("\n"))
    return f"rules:\n  -\n{indented}\n"


def _two(first: str, second: str) -> str:
    """Two rules in a file, each with its keys in one line."""
    same = "version: 1, owner: fraud, severity: high, reason: TEST, on: payment, mode: shadow, score: 100"
    tests = (
        "tests: [{name: either way, start: 2026-03-02T10:00:00Z, defaults: {type: payment, account: A1}, "
        "events: [{at: +0m, amount: 1 EUR}, {at: +1m, amount: 900 EUR, expect: fires}]}]"
    )
    return (
        f"rules:\n  - {{id: R-1, {first}, {same},\n     {tests}}}\n"
        f"  - {{id: R-2, {second}, {same},\n     {tests}}}\n"
    )


# Tests of a rule as it is overridden: those of the rule are about what it was.
_TESTED: Final = (
    "add: {tests: [{name: either way, start: 2026-03-02T10:00:00Z, defaults: {type: payment, account: A1}, "
    "events: [{at: +0m, amount: 1 EUR}, {at: +1m, amount: 900 EUR, expect: fires}]}]}"
)


def _on_core(text: str, version: str = "core", head: str = HEAD.replace("example", "core")) -> str:
    """A pack `example` with a file of `text` that extends a pack `core` with one rule."""
    return (
        f"# file: example/pack.yaml\npack: example\nversion: 1.0.0\nextends: {version}\n"
        f"# file: example/example.yaml\n{text}"
        f"# file: core/pack.yaml\n{head}"
        f"# file: core/rule.yaml\n{rule('when: amount > 500 EUR')}"
    )


EXAMPLES: Final[Mapping[str, Example]] = {
    "WR001": Example("name: Night: a transfer\n", 'name: "Night: a transfer"\n'),
    "WR002": Example(
        "rules:\n\t- id: R-1\n", rule("when: amount > 500 EUR\n"), when="amount > 500 EUR"
    ),
    "WR003": Example("score: 100\nscore: 200\n", "score: 200\n"),
    "WR004": Example("owner: &team fraud\n", "owner: fraud\n"),
    "WR005": Example(
        'when: mcc == "12 #3" and amount > 5 EUR\n',
        'when: |\n  mcc == "12 #3" and amount > 5 EUR\n',
    ),
    "WR006": Example('when: "7995" == mcc\n', 'when: |\n  "7995" == mcc\n'),
    "WR007": Example("rules: []\n", rule("when: amount > 500 EUR\n")),
    "WR008": Example(
        "reasons: {GAMBLING: Payments to casinos}\n---\nreasons: {MULES: Money passed on}\n",
        "reasons:\n  GAMBLING: Payments to casinos\n  MULES: Money passed on\n",
    ),
    "WR009": Example(
        "lists:\n  vips: {file: lists/vips.csv, type: id, of: customer}\n",
        "lists:\n  vips: {values: [K1, K2], type: id, of: customer}\n",
        when="customer in @vips",
    ),
    "WR010": Example(
        "# weir rules: allow WR204 - book transfers have no country\nwhen: amount > 500 EUR\n",
        "when: amount > 500 EUR\n",
    ),
    "WR011": Example(
        "macros:\n  # weir rules: allow WR301\n  night: hour(event_time) < 6\n",
        "macros:\n  # weir rules: allow WR301 - the night desk will use it from May on\n  night: hour(event_time) < 6\n",
    ),
    "WR012": Example(
        "# weir rules: allow WR999 - because\nwhen: amount > 500 EUR\n", "when: amount > 500 EUR\n"
    ),
    "WR020": Example("scores: 100\nscore: 100\n", "score: 100\n"),
    "WR021": Example("severity: hihg\n", "severity: high\n"),
    "WR022": Example("if_undecided: {}\n", "if_undecided: {do: review}\n"),
    "WR023": Example("id: card test 1\n", "id: CARD-TEST-001\n"),
    "WR024": Example("effective: {from: 1.2.2026}\n", "effective: {from: 2026-02-01}\n"),
    "WR025": Example("dedup: {by: account, for: 6 hours}\n", "dedup: {by: account, for: 6h}\n"),
    "WR026": Example("score: 1_500\n", "score: 500\n"),
    "WR027": Example("tests: none\n", rule("when: amount > 500 EUR\n")),
    "WR028": Example("candidate: {when: amount > 400 EUR}\n", "when: amount > 500 EUR\n"),
    "WR029": Example(HEAD.replace("EUR", "EURO"), HEAD),
    "WR101": Example("when: amuont > 500 EUR\n", "when: amount > 500 EUR\n"),
    "WR102": Example(
        "params: {floor: {value: 500 EUR, why: the loss we carry}}\nwhen: amount > $flor and amount > $floor\n",
        "params: {floor: {value: 500 EUR, why: the loss we carry}}\nwhen: amount > $floor\n",
    ),
    "WR103": Example(
        "lists:\n  cash: {values: [atm], type: category, of: channel}\nmacros:\n  paid: channel in @chash or channel in @cash\n",
        "lists:\n  cash: {values: [atm], type: category, of: channel}\nmacros:\n  paid: channel in @cash\n",
        when="paid",
    ),
    "WR104": Example(
        "macros:\n  a: b and amount > 5 EUR\n  b: a or amount > 9 EUR\n",
        'macros:\n  a: amount > 5 EUR\n  b: a and channel == "web"\n',
        when="b",
    ),
    "WR105": Example(
        "let: {amount: amount * 2}\nwhen: amount > 500 EUR\n",
        "let: {doubled: amount * 2}\nwhen: doubled > 500 EUR\n",
    ),
    "WR106": Example("when: len(purpose) > 9\n", "when: length(purpose) > 9\n"),
    "WR107": Example(
        "features:\n  sure: model.score > 0.9\nmacros: {}\n",
        "macros:\n  sure: model.score > 0.9\n",
        when="sure",
    ),
    "WR108": Example(
        'when: label == "fraud"\n',
        'features:\n  frauds: count() of label by account over 90d where label == "fraud"\nwhen: frauds >= 1\n',
    ),
    "WR109": Example("reason: TSET\n", "reason: TEST\n"),
    "WR110": Example("when: amount > 1,000 EUR\n", "when: amount > 1_000 EUR\n"),
    "WR111": Example("when: amount > 500 EUR then\n", "when: amount > 500 EUR\n"),
    "WR112": Example("when: 5 EUR < amount < 9 EUR\n", "when: amount between 5 EUR and 9 EUR\n"),
    "WR113": Example('when: channel in ("web", "api")\n', 'when: channel in ["web", "api"]\n'),
    "WR114": Example("when: +amount > 500 EUR\n", "when: amount > 500 EUR\n"),
    "WR115": Example('when: |\n  mcc == "7995\n', 'when: |\n  mcc == "7995"\n'),
    "WR116": Example(
        "when: local_time(event_time) > 25:00\n", "when: local_time(event_time) > 23:00\n"
    ),
    "WR117": Example(
        "when: " + " or ".join(f"amount == {i}00 EUR" for i in range(1, 90)) + "\n",
        "when: amount in [" + ", ".join(f"{i}00 EUR" for i in range(1, 90)) + "]\n",
    ),
    "WR118": Example("when: (amount > 500 EUR\n", "when: (amount > 500 EUR)\n"),
    "WR120": Example("when: channel == 5\n", 'when: channel == "web"\n'),
    "WR121": Example("when: account == device\n", "when: account == payee\n"),
    "WR122": Example("when: amount > 500 USD\n", "when: amount > 500 EUR\n"),
    "WR123": Example('when: direction == "outward"\n', 'when: direction == "out"\n'),
    "WR124": Example("when: in_hours() > 5\n", "when: in_hours(duration) > 5\n"),
    "WR125": Example(
        "when: amount between 9 EUR and 5 EUR\n", "when: amount between 5 EUR and 9 EUR\n"
    ),
    "WR126": Example(
        'actions:\n  - alert: {queue: l1, title: "Paid {amount"}\n',
        'actions:\n  - alert: {queue: l1, title: "Paid {amount}"}\n',
    ),
    "WR127": Example(
        "features:\n  all_paid: sum(amount) by account over all\nwhen: all_paid > 500 EUR\n",
        "features:\n  all_paid: sum(amount) by account over 90d\nwhen: all_paid > 500 EUR\n",
    ),
    "WR128": Example("when: amount\n", "when: amount > 0 EUR\n"),
    "WR129": Example("dedup: {by: amount, for: 6h}\n", "dedup: {by: account, for: 6h}\n"),
    "WR130": Example('when: purpose matches "(a)\\1"\n', 'when: purpose matches "aa"\n'),
    "WR131": Example("when: amount / 0 > 5 EUR\n", "when: amount / 2 > 5 EUR\n"),
    "WR132": Example(
        "features:\n  n_1h: {is: count() by account over 1h, approx: 2%}\nwhen: n_1h > 5\n",
        "features:\n  n_1h: count() by account over 1h\nwhen: n_1h > 5\n",
    ),
    "WR201": Example(
        "when: amount > 900 EUR and amount < 500 EUR\n",
        "when: amount > 500 EUR and amount < 900 EUR\n",
    ),
    "WR202": Example("when: amount > 900 EUR and amount > 500 EUR\n", "when: amount > 900 EUR\n"),
    "WR203": Example(
        _two("name: Large, when: amount > 500 EUR", "name: Larger, when: amount > 900 EUR"),
        _two(
            "name: Large, when: amount > 500 EUR",
            'name: Larger, when: amount > 300 EUR and mcc == "7995"',
        ),
    ),
    "WR204": Example(
        'when: amount > 500 EUR and country != "DE"\n',
        'when: amount > 500 EUR and (country is missing or country != "DE")\n',
    ),
    "WR205": Example("when: amount is missing or amount > 500 EUR\n", "when: amount > 500 EUR\n"),
    "WR206": Example(
        'when: channel == "web" or amount > 500 EUR and mcc == "7995"\n',
        'when: channel == "web" or (amount > 500 EUR and mcc == "7995")\n',
    ),
    "WR207": Example(
        "features:\n  usual: avg(amount) of transaction by account over 90d\nwhen: amount > 3 * usual\n",
        "features:\n  usual: avg(amount) of transaction by account over 90d until 1d ago\nwhen: amount > 3 * usual\n",
    ),
    "WR208": Example(
        "features:\n  payments_1h: count() by account over 1h\nwhen: payments_1h > 5\n",
        "features:\n  payments_1h: count() of transaction by account over 1h\nwhen: payments_1h > 5\n",
    ),
    "WR209": Example(
        "mode: live\n"
        "features:\n  n_device: count() of transaction by device over 1d\n"
        "when: n_device > 50\n"
        "actions: [{challenge: {method: push}}]\n",
        "mode: live\n"
        "features:\n  n_device: count() of transaction by device over 1d\n"
        "when: n_device > 50\n"
        "if_undecided: {do: review}\n"
        "actions: [{challenge: {method: push}}]\n",
    ),
    "WR210": Example(
        "features:\n"
        '  refunds: sum(amount) of transaction by account over 30d where type == "refund"\n'
        '  bought: sum(amount) of transaction by account over 30d where type == "payment"\n'
        "when: refunds / bought > 50% and amount > 500 EUR\n",
        "features:\n"
        '  refunds: sum(amount) of transaction by account over 30d where type == "refund"\n'
        '  bought: sum(amount) of transaction by account over 30d where type == "payment"\n'
        "when: refunds > 50% * bought and amount > 500 EUR\n",
    ),
    "WR211": Example(
        "features:\n  n_1h: count() by account over 1h\n  n_1d: count() by account over 1d\n"
        "macros:\n  often: n_1h > 80% and n_1d > 5\n",
        "features:\n  n_1h: count() by account over 1h\n  n_1d: count() by account over 1d\n"
        "macros:\n  often: n_1h > 80% * n_1d and n_1d > 5\n",
        when="often",
    ),
    "WR301": Example(
        "params: {floor: {value: 500 EUR, why: the loss we carry}}\nwhen: amount > 500 EUR\n",
        "params: {floor: {value: 500 EUR, why: the loss we carry}}\nwhen: amount > $floor\n",
    ),
    "WR302": Example(
        "lists:\n  vips: {values: [K1], type: id, of: customer, review_by: 2026-01-31}\n",
        "lists:\n  vips: {values: [K1], type: id, of: customer, review_by: 2027-01-31}\n",
        when="customer in @vips",
    ),
    "WR303": Example(
        'exceptions:\n  - {id: EX-1, when: mcc == "7995", why: casino float, approved_by: t.hill, expires: 2026-02-01}\n',
        'exceptions:\n  - {id: EX-1, when: mcc == "7995", why: casino float, approved_by: t.hill, expires: 2027-02-01}\n',
    ),
    "WR304": Example(
        "exceptions:\n  - {id: EX-1, when: amount >= 0 EUR, why: a test, approved_by: t.hill, expires: 2027-02-01}\n",
        "exceptions:\n  - {id: EX-1, when: amount >= 9_000 EUR, why: seen by people, approved_by: t.hill, expires: 2027-02-01}\n",
    ),
    "WR305": Example(
        "effective: {from: 2025-11-01, until: 2026-01-01}\n",
        "effective: {from: 2025-11-01, until: 2027-01-01}\n",
    ),
    "WR306": Example("on: paymnet\n", "on: payment\n"),
    "WR307": Example(
        "lists:\n  vips: {values: [{value: K1, valid_until: 2026-01-31}], type: id, of: customer}\n",
        "lists:\n  vips: {values: [{value: K1, valid_until: 2027-01-31}], type: id, of: customer}\n",
        when="customer in @vips",
    ),
    "WR310": Example(
        "features:\n  seen_2y: count() of transaction by account over 800d\nwhen: seen_2y > 5\n",
        "features:\n  seen_1y: count() of transaction by account over 365d\nwhen: seen_1y > 5\n",
    ),
    "WR320": Example(HEAD.replace("from: 500", "from: 600"), HEAD),
    "WR321": Example(HEAD.replace("from: 500", "from: 400"), HEAD),
    "WR322": Example(
        "severity: low\nactions: [{freeze: {scope: account, for: 24h, max_per_hour: 5}}]\n",
        "severity: high\nactions: [{freeze: {scope: account, for: 24h, max_per_hour: 5}}]\n",
    ),
    "WR323": Example(
        "actions: [{freeze: {scope: account}}]\n",
        "actions: [{freeze: {scope: account, for: 24h, max_per_hour: 5}}]\n",
    ),
    "WR324": Example(
        "actions: [{freeze: {scope: account, for: 30d, max_per_hour: 5}}]\n",
        "actions: [{freeze: {scope: account, for: 72h, max_per_hour: 5}}]\n",
    ),
    "WR325": Example(
        "# locked as version 3 with: amount > 500 EUR\nversion: 3\nwhen: amount > 300 EUR\n",
        "# locked as version 3 with: amount > 500 EUR\nversion: 4\nwhen: amount > 300 EUR\n",
        runs=False,
    ),
    "WR326": Example(
        _on_core("overrides: [{rule: R-1, written_for: 2, set: {score: 200}, " + _TESTED + "}]\n"),
        _on_core("overrides: [{rule: R-1, written_for: 1, set: {score: 200}, " + _TESTED + "}]\n"),
    ),
    "WR327": Example(
        _on_core(
            "overrides:\n"
            "  - {rule: R-1, written_for: 1, set: {score: 200}}\n"
            "  - {rule: R-1, written_for: 1, set: {score: 300}, " + _TESTED + "}\n"
        ),
        _on_core(
            "overrides:\n  - {rule: R-1, written_for: 1, set: {score: 300}, " + _TESTED + "}\n"
        ),
    ),
    "WR328": Example(
        "retired: [{id: R-1, on: 2026-01-31, why: R-2 does it better}]\n",
        "retired: [{id: R-0, on: 2026-01-31, why: R-1 does it better}]\n",
    ),
    "WR329": Example(
        "suppressions:\n"
        "  - {rule: R-9, entity: {account: A1}, until: 2026-06-01, why: known to the branch, by: t.hill}\n",
        "suppressions:\n"
        "  - {rule: R-1, entity: {account: A1}, until: 2026-06-01, why: known to the branch, by: t.hill}\n",
    ),
    "WR330": Example(
        "# file: example/pack.yaml\npack: example\nversion: 1.0.0\nextends: kore\n"
        "# file: example/rule.yaml\n"
        + rule("when: amount > 500 EUR\nreason: OWN\n")
        + "reasons: {OWN: A reason of its own}\n",
        _on_core(rule("id: R-2\nwhen: hour(event_time) < 6\n")),
    ),
    "WR331": Example(
        _on_core(rule("id: R-2\nwhen: hour(event_time) < 6\n"), version="core@^2.0"),
        _on_core(rule("id: R-2\nwhen: hour(event_time) < 6\n"), version="core@^1.0"),
    ),
    "WR332": Example(
        _on_core(
            rule("id: R-2\nwhen: hour(event_time) < 6\n"),
            head=HEAD.replace("pack: example", "pack: core\nextends: example"),
        ),
        _on_core(rule("id: R-2\nwhen: hour(event_time) < 6\n")),
    ),
    "WR333": Example(
        "# rules.lock, edited by hand\nrules: {R-1: version 4}\n",
        "# rules.lock, as `weir rules lock` has written it\nrules:\n  R-1: {version: 4, sha256: ...}\n",
        runs=False,
    ),
    "WR334": Example(
        "# packs/core holds pack.yaml and rules/, and no rules.lock\n",
        "# weir rules lock packs/core\n",
        runs=False,
    ),
    "WR335": Example(
        "suppressions:\n"
        "  - {rule: R-1, entity: {account: A1}, until: 2026-01-31, why: known to the branch, by: t.hill}\n",
        "suppressions:\n"
        "  - {rule: R-1, entity: {account: A1}, until: 2026-06-30, why: known to the branch, by: t.hill}\n",
    ),
    "WR340": Example(
        "lists:\n  police: {type: id, of: account, values: [{value: A1, valid_from: 2026-05-01, valid_until: 2026-04-01}]}\n",
        "lists:\n  police: {type: id, of: account, values: [{value: A1, valid_from: 2026-04-01, valid_until: 2026-05-01}]}\n",
        when="counterparty in @police",
    ),
    "WR341": Example(
        "lists:\n  police: {type: id, of: account, values: [{value: A1, reference: 7/26}]}\n",
        "lists:\n  police: {type: id, of: account, values: [{value: A1, case: 7/26}]}\n",
        when="counterparty in @police",
        more='actions: [{alert: {queue: l1, title: "Listed: {@police.case}"}}]\n',
    ),
    "WR342": Example(
        "lists:\n  police: {type: id, of: account, values: [{value: A1, case: 7/26}]}\n"
        "macros:\n  listed: counterparty in @police or payee in @police\n",
        "lists:\n  police: {type: id, of: account, values: [{value: A1, case: 7/26}]}\n"
        "macros:\n  listed: counterparty in @police\n",
        when="listed",
        more='actions: [{alert: {queue: l1, title: "Listed: {@police.case}"}}]\n',
    ),
    "WR343": Example(
        "lists:\n  police: {type: id, of: account, values: [A1, A2, A1]}\n",
        "lists:\n  police: {type: id, of: account, values: [A1, A2]}\n",
        when="counterparty in @police",
    ),
    "WR401": Example(
        'when: purpose matches "(?i)gift.*card" and amount > 500 EUR\n',
        "# cheap conditions first do not matter: each is computed once, whatever the order\n",
        runs=False,
    ),
    "WR402": Example(
        "features:\n  seen: count_distinct(counterparty) by account over 400d\n",
        "features:\n  seen: {is: count_distinct(counterparty) by account over 400d, approx: 2%}\n",
        runs=False,
    ),
    "WR601": Example(
        "features:\n  spent_on_device: sum(amount) by device over 1h\n",
        "features:\n  spent_on_device: sum(amount) by account, device over 1h\n",
        runs=False,
    ),
    "WR602": Example(
        "features:\n  on_device: count() by device over 1h\nwhen: on_device > 5\n",
        "features:\n  on_device: count() by account, device over 1h\nwhen: on_device > 5\n",
        runs=False,
    ),
    "WR603": Example(
        "actions: [{restrict: {entity: device, level: no_debit, for: 24h, max_per_hour: 5}}]\n",
        "actions: [{restrict: {entity: account, level: no_debit, for: 24h, max_per_hour: 5}}]\n",
        runs=False,
    ),
    "WR502": Example(
        "tests:\n"
        "  - name: either way\n"
        "    start: 2026-03-02T10:00:00Z\n"
        "    defaults: {type: payment, account: A1}\n"
        "    events:\n"
        "      - {at: +9m, amount: 900 EUR, expect: fires}\n"
        "      - {at: +5m, amount: 1 EUR}\n",
        "tests:\n"
        "  - name: either way\n"
        "    start: 2026-03-02T10:00:00Z\n"
        "    defaults: {type: payment, account: A1}\n"
        "    events:\n"
        "      - {at: +5m, amount: 1 EUR}\n"
        "      - {at: +9m, amount: 900 EUR, expect: fires}\n",
    ),
    "WR501": Example(
        "tests: []\n",
        rule("when: amount > 500 EUR\n"),
    ),
}
