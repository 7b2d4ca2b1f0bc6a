"""Rows for the last stage made by hand: a pack, what its rules say, and columns; nothing of rules or models runs."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from config.decisions import DecisionSettings
from engine.batch import ACTIVITY, COMMAND, DEAD, DUPLICATE, LABEL, TICK, TRANSACTION
from engine.decision import Decider
from engine.verdict import FIRES, DecideInputs
from rules.columns import Frame, Layout
from rules.definitions import Action, Band, ExceptionClause, Pack, Place, Rule, Template, Undecided
from rules.tree import BOOL, CATEGORY, ID, MONEY, NUMBER, Node, Type

KINDS = {
    "transaction": TRANSACTION,
    "activity": ACTIVITY,
    "command": COMMAND,
    "dead": DEAD,
    "tick": TICK,
    "label": LABEL,
    "duplicate": DUPLICATE,
}
PLACE = Place("rules.yaml", 1, 1)
SECOND, MINUTE, HOUR, DAY = 10**6, 60 * 10**6, 3_600 * 10**6, 86_400 * 10**6
START = 1_772_445_600 * SECOND  # 2026-03-02T10:00:00Z
CONFIG = "sha256:" + "ab" * 32
ENTITIES = ("account", "card", "customer", "device", "merchant", "terminal")
BANDS = (
    Band(0, 300, "approve"),
    Band(300, 600, "review"),
    Band(600, 850, "challenge"),
    Band(850, 1000, "hold"),
)


class Texts:
    """A dictionary of codes, as small as can be."""

    def __init__(self):
        self.texts = []

    def __len__(self):
        return len(self.texts)

    def find(self, text):
        return self.texts.index(text) if text in self.texts else -1

    def code(self, text):
        if text is None:
            return -1
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text)


class Rules:
    """What a ruleset tells people."""

    def because(self, rule_index, state):
        return f"field{state}"

    def text(self, template, frame, row, dictionaries, extra=None):
        return "".join(
            p if isinstance(p, str) else (extra or {}).get(p[0].value, "?") for p in template.parts
        )


def restrict(entity="card", level="full_freeze", hours=24, per_hour=30, **more):
    return Action(
        "restrict",
        PLACE,
        entity=entity,
        level=level,
        for_us=int(hours * HOUR),
        max_per_hour=per_hour,
        asked="freeze",
        **more,
    )


def alert(queue="l1", title="a title"):
    return Action("alert", PLACE, queue=queue, title=Template((title,), title))


def action(kind, **more):
    return Action(kind, PLACE, **more)


def rule(id_, *actions, dedup=(), dedup_hours=6, exceptions=(), if_undecided=None, **more):
    return Rule(
        **{
            "id": id_,
            "name": id_,
            "version": 3,
            "owner": "cards",
            "severity": "high",
            "reason": f"R_{id_}",
            "on": ("payment",),
            "mode": "live",
            "when": Node("const", Type(BOOL), value=True),
            "score": Node("const", Type(NUMBER), value=0.0),
            "actions": actions,
            "place": PLACE,
            "dedup_by": tuple(dedup),
            "dedup_for_us": int(dedup_hours * HOUR) if dedup else 0,
            "exceptions": tuple(
                ExceptionClause(e, Node("const", Type(BOOL), value=True), "w", "m", 0, PLACE)
                for e in exceptions
            ),
            "if_undecided": Undecided(*if_undecided) if if_undecided else None,
        }
        | more
    )


def report(kind="large_cash", by=("customer",), due_working_days=5, **more):
    title = Template(("a title",), "a title")
    return Action(
        "report",
        PLACE,
        report=kind,
        to="pboc",
        by=tuple(by),
        due_working_days=due_working_days,
        title=title,
        **more,
    )


def pack(
    *rules,
    combine="sum",
    bands=BANDS,
    max_freezes_per_hour=0,
    timezone="UTC",
    lists=None,
    reasons=None,
    suppressions=(),
):
    return Pack(
        name="core",
        version="1.0.0",
        root=Path("packs/core"),
        currency="EUR",
        timezone=timezone,
        retention_us=400 * DAY,
        combine=combine,
        bands=bands,
        reasons=reasons or {},
        suppressions=suppressions,
        features={},
        lists=lists or {},
        tables={},
        rules=tuple(sorted(rules, key=lambda r: r.id)),
        max_freezes_per_hour=max_freezes_per_hour,
    )


def loose(**more):
    """Settings under which a rule without a score may block an account; `more` as it is."""
    return DecisionSettings(**{"evidence_score": 0.0} | more)


class Bench:
    """A decider and everything around it. Rows are dicts; `run` cuts them into batches of the given sizes.

    A row: kind, at (us after START, default one second a row), type, direction, amount, channel, entities; truth {rule:
    True or a state}, points {rule: score}, excepted {rule: n}, outside (rules not rolled out to it), models, late,
    foreign, command, unscorable (type), first (seq).
    """

    def __init__(
        self, *rules, settings=None, effect="observe", warming=(), people=None, **pack_more
    ):
        self.pack = pack(*rules, **pack_more)
        self.rules = [r for r in self.pack.rules if r.mode != "off"]
        self.layout = Layout()
        schema = SimpleNamespace(
            columns={
                **dict.fromkeys(ENTITIES),
                "direction": 0,
                "amount": 0,
                "type": 0,
                "channel": 0,
            },
            type_of=lambda n: (
                Type(MONEY, "EUR")
                if n == "amount"
                else Type(ID, n)
                if n in ENTITIES
                else Type(CATEGORY, n)
            ),
        )
        Decider.add_columns(self.pack, schema, self.layout)
        self.dictionaries = {
            p.dictionary: Texts() for p in self.layout.places.values() if p.is_code
        }
        self.warming = frozenset(warming)
        self.make = lambda: Decider(
            self.pack,
            Rules(),
            settings or loose(),
            self.layout,
            self.dictionaries,
            effect=effect,
            people=people,
        )
        self.decider = self.make()
        self.seq = 0
        self.core_us = 0
        self.streams = {}
        self.answers = []
        self.matches = []
        self.decided = None
        self.known = {}  # seq -> decision, as the core remembers it

    def run(self, rows, cuts=()):
        """Take `rows` in batches that end at `cuts`; add up what came out."""
        rows = list(rows)
        for first, last in zip([0, *cuts], [*cuts, len(rows)], strict=True):
            self.batch(rows[first:last])
        return self

    def batch(self, rows):
        n, ids = len(rows), [r.id for r in self.rules]
        frame = Frame.empty(self.layout, n)
        truth = np.zeros((len(ids), n), np.int16)
        score, excepted = np.full((len(ids), n), np.nan), np.zeros((len(ids), n), np.int16)
        inside = np.ones((len(ids), n), bool)
        core, event = [], []
        for i, row in enumerate(rows):
            time = START + row.get("at", (self.seq + i) * SECOND)
            event.append(time)
            if not row.get("late") and row.get("kind", "transaction") not in ("command", "dead"):
                self.core_us = max(self.core_us, time)
            core.append(self.core_us)
            for name, place in self.layout.places.items():
                if place.is_code:
                    frame.code[place.row, i] = self.dictionaries[place.dictionary].code(
                        row.get(name)
                    )
                elif name in row:
                    frame.number[place.row, i] = row[name]
            for k, id_ in enumerate(ids):
                state = row.get("truth", {}).get(id_, 0)
                truth[k, i] = FIRES if state is True else state
                excepted[k, i] = row.get("excepted", {}).get(id_, 0)
                score[k, i] = row.get("points", {}).get(id_, 0.0)
                inside[k, i] = id_ not in row.get("outside", ())
        names = sorted({name for row in rows for name in row.get("models", {})} or {"champion"})
        inputs = DecideInputs(
            kind=np.array([KINDS[row.get("kind", "transaction")] for row in rows], np.int8),
            seq=self.seq + np.arange(n),
            event_time_us=np.array(event, np.int64),
            core_us=np.array(core, np.int64),
            late=np.array([row.get("late", False) for row in rows], bool),
            foreign=np.array([row.get("foreign", False) for row in rows], bool),
            transaction_id=[row.get("id", f"t-{self.seq + i}") for i, row in enumerate(rows)],
            account=[row.get("account") for row in rows],
            frame=frame,
            judgement=SimpleNamespace(
                truth=truth, excepted=excepted, score=score, in_rollout=inside
            ),
            models={
                name: np.array([row.get("models", {}).get(name, 0.25) for row in rows])
                for name in names
            },
            explain=lambda row: [("amount_vs_usual_30d", 0.41)],
            config=CONFIG,
            warming=self.warming,
            unscorable={i: r["unscorable"] for i, r in enumerate(rows) if "unscorable" in r},
            duplicates={
                i: (r["first"], self.known.get(r["first"], -1))
                for i, r in enumerate(rows)
                if "first" in r
            },
            commands={i: r["command"] for i, r in enumerate(rows) if "command" in r},
        )
        self.decided = self.decider.decide(inputs)
        self.known |= {
            self.seq + i: d for i, d in enumerate(self.decided.decision.tolist()) if d >= 0
        }
        for name, text in self.decided.streams.items():
            self.streams[name] = self.streams.get(name, b"") + text
        self.answers += [self.decided.answers[row] for row in sorted(self.decided.answers)]
        self.matches += [(self.seq + m.row, m.rule, m.outcome) for m in self.decided.matches]
        self.seq += n
        return self.decided

    def restart(self):
        """Go on with a fresh decider that loads what this one saves, and hands it over as in a reload."""
        saved = self.decider.save()
        loaded = self.make()
        loaded.load(saved)
        self.decider = self.make()
        self.decider.adopt(loaded, {})
        handed = self.decider.save()
        assert {k: v.tobytes() for k, v in handed.items()} == {
            k: v.tobytes() for k, v in saved.items()
        }
        return self

    def lines(self, stream):
        return [json.loads(text) for text in self.streams.get(stream, b"").splitlines()]

    def decisions(self):
        return [record["decision"] for record in self.lines("decisions")]


def fires(*ids, **more):
    """A card payment in which the rules `ids` fire."""
    row = {"account": "A1", "card": "C1", "type": "payment", "direction": "out", "amount": 12_345.0}
    return row | {"truth": dict.fromkeys(ids, True)} | more


def command(name, **more):
    return {"kind": "command", "id": None, "command": {"kind": "command", "command": name, **more}}
