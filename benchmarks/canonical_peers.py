"""The canonical workload as a Python programmer would write it first: bench_canonical.py runs it beside Weir.

A dict a message, for each window a dict of deques with running totals, river's half-space trees and logistic regression
behind its own scalers, and a loop over rules that are closures. It reads the same NDJSON, the same features.yaml and
the same rules, with a reader of its own that knows just what they use, and writes a line a decision.

What it does not do: it has no journal and nothing is synced; a killed process has lost its windows and models; rows out
of order are taken as they come, so what they and their neighbours see is slightly wrong; nothing can be replayed,
explained or changed while it runs; no restriction, cap, case or reload; amounts are what it makes of two decimals.
"""

import math
import re
from bisect import bisect_left, insort
from collections import Counter, defaultdict, deque
from datetime import datetime
from pathlib import Path

import orjson
import yaml

LATENESS_US = 15 * 60_000_000
UNITS_US = {"m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
FEATURE = re.compile(
    r"(?P<function>\w+)\((?P<argument>\w*)(, (?P<level>\d+)%)?\) of (?P<domain>\w+) by (?P<key>\w+) over "
    r"(?P<width>\w+)( until (?P<lag>\w+) ago)?( where (?P<where>.+?))?(?P<prior> prior)?$"
)
CLAUSE = re.compile(r"(?P<left>\S+) (?P<op>==|!=|<=|>=|<|>|in) (?P<right>.+)$")
NOTE = (
    "no journal, no sync, no seals; rows out of order are taken as they come; windows and models are lost when it "
    "stops; nothing can be replayed, explained or reloaded; no restriction, cap or case"
)


def duration(text):
    return int(text[:-1]) * UNITS_US[text[-1]]


def test_of(text):
    """A condition on a dict: (value) -> True, False, or None where something is missing."""
    left, op, right = CLAUSE.match(text.strip()).group("left", "op", "right")
    if left == "hour(event_time)":
        left = "hour"
    left = left.replace(".", "_")
    if op == "in":
        words = frozenset(re.findall(r'"([^"]*)"', right))
        return lambda row: None if (v := row.get(left)) is None else v in words
    if right.startswith('"'):
        word = right.strip('"')
        if op == "==":
            return lambda row: None if (v := row.get(left)) is None else v == word
        return lambda row: None if (v := row.get(left)) is None else v != word
    factor, other = 1.0, None
    if "*" in right:
        number, other = right.split(" * ")
        factor = float(number)
    elif re.fullmatch(r"\d+[mhd]", right):
        factor = duration(right)
    elif right.endswith(" CNY"):
        factor = int(right[:-4].replace("_", "")) * 100
    else:
        factor = float(right.replace("_", ""))
    compare = {
        "<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
        "==": lambda a, b: a == b,
    }[op]  # fmt: skip
    if other is None:
        return lambda row: None if (v := row.get(left)) is None else compare(v, factor)

    def both(row):
        a, b = row.get(left), row.get(other)
        return None if a is None or b is None else compare(a, factor * b)

    return both


class Window:
    """The features that share key, window, lag, filter and kind of state."""

    def __init__(self, domain, key, width, lag, where, prior, kind, argument):
        self.domain, self.key, self.width, self.lag = domain, key, width, lag
        self.where = test_of(where) if where else None
        self.prior, self.kind, self.argument = prior, kind, argument
        self.reads = []  # (name, function, level)
        make = {"distinct": Counter, "sorted": list}.get(kind, lambda: [0, 0, 0])
        self.states = defaultdict(lambda: (deque(), deque(), make()))

    def step(self, row, is_own, applies):
        """Evaluate at `row`, and let it in unless it does not count; features go into the row."""
        code = row.get(self.key)
        if code is None:
            if is_own:
                for name, _, _ in self.reads:
                    row[name] = None
            return
        at = row["at"]
        counts = applies and row["kind"] == self.domain and (self.where is None or self.where(row))
        if not is_own and not counts:
            return
        waiting, inside, state = self.states[code]
        if counts and self.argument:
            value = row.get(self.argument)
            counts = value is not None
        else:
            value = row.get("amount") or 0
        if counts and not self.prior and not self.lag:
            waiting.append((at, value))
        self.evict(inside, state, at - self.width)
        while waiting and waiting[0][0] <= at - self.lag:
            event = waiting.popleft()
            if event[0] > at - self.width:
                inside.append(event)
                self.put(state, event[1])
        if is_own:
            self.read(row, at, inside, state)
        if counts and (self.prior or self.lag):
            waiting.append((at, value))

    def evict(self, inside, state, until):
        while inside and inside[0][0] <= until:
            _, value = inside.popleft()
            if self.kind == "total":
                state[0] -= 1
                state[1] -= value
                state[2] -= value * value
            elif self.kind == "distinct":
                state[value] -= 1
                if not state[value]:
                    del state[value]
            elif self.kind == "sorted":
                del state[bisect_left(state, value)]

    def put(self, state, value):
        if self.kind == "total":
            state[0] += 1
            state[1] += value
            state[2] += value * value
        elif self.kind == "distinct":
            state[value] += 1
        elif self.kind == "sorted":
            insort(state, value)

    def read(self, row, at, inside, state):
        for name, function, level in self.reads:
            n = len(inside)
            if function == "count":
                found = n
            elif function == "sum":
                found = state[1]
            elif function == "count_distinct":
                found = len(state)
            elif not n:
                found = None
            elif function == "avg":
                found = state[1] / n
            elif function == "stddev":
                found = math.sqrt(n * state[2] - state[1] * state[1]) / n
            elif function == "max":
                found = max(value for _, value in inside)
            elif function == "quantile":
                found = state[math.ceil(level * n) - 1]
            elif function == "time_since_last":
                found = at - inside[-1][0]
            else:
                found = at - inside[0][0]
            row[name] = found


def windows_of(pack):
    """Every feature of the pack, those that can share state in one window."""
    found = {}
    texts = yaml.safe_load((pack / "features.yaml").read_text())["features"]
    for name, text in texts.items():
        f = FEATURE.match(text)
        function, argument = f["function"], f["argument"]
        kind = {"count_distinct": "distinct", "quantile": "sorted", "max": "none"}.get(
            function, "total"
        )
        argument = argument if argument != "amount" else ""
        lag = duration(f["lag"]) if f["lag"] else 0
        shared = (
            f["domain"], f["key"], duration(f["width"]), lag, f["where"] or "", bool(f["prior"]), kind, argument
        )  # fmt: skip
        window = found.setdefault(shared, Window(*shared))
        window.reads.append((name, function, int(f["level"] or 0) / 100))
    return list(found.values())


def rules_of(pack):
    """(id, types, clauses, score) of every rule, in the order of their ids."""
    found = []
    for path in sorted((pack / "rules").glob("*.yaml")):
        for rule in yaml.load(path.read_text(), yaml.BaseLoader)["rules"]:
            types = rule["on"] if isinstance(rule["on"], list) else [rule["on"]]
            clauses = [test_of(text) for text in re.split(r"\s+and\s+", rule["when"].strip())]
            found.append((rule["id"], frozenset(types), clauses, int(rule["score"])))
    return sorted(found, key=lambda rule: rule[0])


BANDS = ((900, "hold"), (700, "challenge"), (300, "review"), (0, "approve"))


class Build:
    """All of it: a message in, a line out."""

    def __init__(self, config, *, with_models=True):
        pack = Path(config) / "packs" / "canonical"
        self.windows, self.rules = windows_of(pack), rules_of(pack)
        models = yaml.safe_load((Path(config) / "models.yaml").read_text())["models"]
        self.inputs = {name: model["inputs"] for name, model in models.items()}
        self.seen, self.kept, self.newest = {}, {}, 0
        self.with_models = with_models
        if with_models:
            from river import anomaly, linear_model, preprocessing

            self.trees = preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(
                n_trees=25, height=8, window_size=250, seed=1
            )
            self.linear = preprocessing.StandardScaler() | linear_model.LogisticRegression()

    def take(self, line):
        """The line of a decision, or None for what is no transaction or came before."""
        row = orjson.loads(line)
        kind = row.setdefault("kind", "transaction")
        at = row["at"] = round(datetime.fromisoformat(row["event_time"]).timestamp() * 1e6)
        if kind == "label":
            self.newest = max(self.newest, at)
            if (x := self.kept.pop(row["transaction_id"], None)) is not None:
                self.linear.learn_one(x, row["label"] == "fraud")
            return None
        applies = at >= self.newest - LATENESS_US
        if not applies:
            at = row["at"] = self.newest
        if kind == "transaction":
            if row["transaction_id"] in self.seen:
                return None
            self.seen[row["transaction_id"]] = at
            yuan, _, cents = row["amount"].partition(".")
            row["amount"] = int(yuan) * 100 + int(cents)
            row["hour"] = (at // 3_600_000_000 + 8) % 24
        self.newest = max(self.newest, at)
        is_own = kind == "transaction"
        for window in self.windows:
            window.step(row, is_own, applies)
        if not is_own:
            return None
        if self.with_models:
            x = {name: row[name] or 0 for name in self.inputs["fraud"]}
            row["model_score"] = self.linear.predict_proba_one(x).get(True, 0.0)
            self.kept[row["transaction_id"]] = x
            y = {name: row[name] or 0 for name in self.inputs["anomaly"]}
            row["model_anomaly"] = self.trees.score_one(y)
            if applies:
                self.trees.learn_one(y)
        fired = []
        for name, types, clauses, score in self.rules:
            if row["type"] in types:
                for holds in clauses:
                    if not holds(row):
                        break
                else:
                    fired.append((name, score))
        score = min(sum(s for _, s in fired), 1000)
        decision = next(do for least, do in BANDS if score >= least)
        self.row = row
        return orjson.dumps(
            {
                "transaction_id": row["transaction_id"], "account": row["account"], "decision": decision,
                "score": score, "fired": [name for name, _ in fired],
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )  # fmt: skip
