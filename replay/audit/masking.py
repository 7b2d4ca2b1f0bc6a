"""Pseudonyms for a whole case: messages, lists, the state of a core; it decides the same and names nobody.

One text has one pseudonym in its domain, so events of one account stay events of one account, and windows, lists,
restrictions and groups of alerts work on as they did. Codes of dictionaries do not change, so arrays of windows and
models stay as they are. Ids of alerts, commands and restrictions are hashes of what they are about, so they change too;
`learn` keeps which became which.

A field whose *content* rules read (a position, a birth date, a text that is searched) has no stand-in that would be
read the same: it is kept as it is, and named (`kept_fields`). Fields that nobody reads are left out.
"""

import csv
import hashlib
import hmac
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from config.errors import ConfigError
from config.pseudonyms import Pseudonyms
from config.schema import RESERVED, Column
from engine.alerts import SEPARATOR as GROUP
from engine.core import Core
from engine.remembered import SEPARATOR as LEG
from engine.setup import Setup
from engine.texts import load_texts, save_texts
from rules.definitions import Pack
from rules.tree import TEXT, Node

Arrays: TypeAlias = dict[str, NDArray[Any]]
CODED: Final = frozenset({"id", "category", "text"})
UNREADABLE: Final = b"(a message that could not be read)"
ALWAYS: Final = RESERVED | {"label", "source", "typology", "transaction_id"}
_IDS: Final = (
    "alert_id",
    "command_id",
    "restriction_id",
    "suppression_id",
    "case_id",
    "appeal_id",
    "token",
    "key",
)


class Masking:
    """Replaces what is personal in everything that belongs to one configuration; `core` says which columns are read."""

    def __init__(self, setup: Setup, core: Core, key: bytes) -> None:
        self.schema, self.pack = setup.schema, setup.pack
        self.kept = kept_fields(setup)
        self._key = key
        self._pseudonyms = Pseudonyms(setup.schema, key)
        self._read = {name for name in core.layout.places if name in setup.schema.columns}
        self._commands: dict[str, str] = {}  # id -> the one it became
        personal = [c for c in setup.schema.columns.values() if c.personal and c.kind in CODED]
        self._domains = {c.domain for c in personal if c.name not in self.kept}
        kept_domains = {setup.schema.columns[name].domain for name in self.kept}
        self._domains -= {d for d in kept_domains if d == TEXT}
        self._dictionaries = self._masked_dictionaries(core)

    # ---- texts

    def text(self, domain: str, text: str) -> str:
        """The stand-in of a text of a domain; the text itself where the domain is not personal."""
        return self._pseudonyms.of(domain, text) if domain in self._domains else text

    def id(self, id_: str) -> str:
        """The id that an alert, command or restriction has here."""
        known = self._commands.get(id_)
        if known is None and id_[1:2] == "-":
            digest = hmac.new(self._key, f"id\0{id_}".encode(), hashlib.sha256).hexdigest()
            known = self._commands[id_] = id_[:2] + digest[:12]
        return known if known is not None else id_

    def learn(self, before: Mapping[str, bytes], after: Mapping[str, bytes]) -> None:
        """Note which id became which, from the outcomes of the same records with and without names."""
        for stream in ("alerts", "commands", "resolutions"):
            pairs = zip(before[stream].splitlines(), after[stream].splitlines(), strict=False)
            for plain, masked in pairs:
                one, other = (
                    msgspec.json.decode(line, type=dict[str, Any]) for line in (plain, masked)
                )
                for name in _IDS:
                    if isinstance(one.get(name), str) and isinstance(other.get(name), str):
                        self._commands[one[name]] = other[name]

    # ---- messages and outcomes

    def message(self, line: bytes) -> bytes:
        """A message with the fields that are read, and no name in it; one that cannot be read becomes `UNREADABLE`."""
        try:
            fields = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return UNREADABLE
        if fields.get("kind") not in ("command", "tick", "config"):
            fields = {name: value for name, value in fields.items() if self._is_read(name)}
        return msgspec.json.encode(self._fields(fields))

    def outcome(self, line: bytes) -> dict[str, Any]:
        """A line of decisions as it reads after masking: names and ids replaced."""
        fields = self._fields(msgspec.json.decode(line, type=dict[str, Any]))
        for name in ("alerts", "commands", "restrictions"):
            if name in fields:
                fields[name] = [self.id(id_) for id_ in fields[name]]
        return fields

    def _is_read(self, name: str) -> bool:
        column = self._column(name)
        if name in ALWAYS:
            return True
        if column is None:
            return False
        needed = column.required or bool(column.required_for)
        read = any(c.key == name and c.name in self._read for c in self.schema.columns.values())
        return needed or read

    def _column(self, name: str) -> Column | None:
        return self.schema.columns.get(name) or self.schema.keys.get(name)

    def _fields(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self._value(name, value) for name, value in fields.items()}

    def _value(self, name: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return self._fields(value)
        if isinstance(value, list):
            return [self._value(name, item) for item in value]
        if not isinstance(value, str):
            return value
        if name in _IDS:
            return self.id(value)
        column = self._column(name)
        if column is not None and column.kind in CODED and column.name not in self.kept:
            return self.text(column.domain, value) if column.personal else value
        return self.text(name, value) if name in self._domains and column is None else value

    # ---- lists

    def list_file(self, path: Path, domain: str) -> bytes | None:
        """The first column of a list's file, masked; None where the list names nobody."""
        if domain not in self._domains:
            return None
        rows = csv.reader(io.StringIO(path.read_text("utf-8-sig")))
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        for number, row in enumerate(rows):
            if row and row[0].strip():
                value = row[0].strip()
                writer.writerow([value if number == 0 else self.text(domain, value)])
        return out.getvalue().encode()

    # ---- state

    def state(
        self, arrays: Mapping[str, NDArray[Any]], only: Iterable[str] | None = None
    ) -> Arrays:
        """The state of a core without names. `only`: texts that keep a pseudonym, all others become numbers."""
        wanted = None if only is None else frozenset(only)
        out = dict(arrays)
        for name in {k.split("/")[1] for k in arrays if k.startswith("dictionaries/")}:
            prefix = f"dictionaries/{name}"
            texts = load_texts({k: arrays[f"{prefix}/{k}"] for k in ("bytes", "end")})
            domain = self._dictionaries.get(name, "")
            masked = [self._in_state(domain, text, wanted, code) for code, text in enumerate(texts)]
            out |= {f"{prefix}/{k}": v for k, v in save_texts(masked).items()}
        self._mask_remembered(out, wanted)
        if "decide/rating/customer/end" in out and len(out["decide/rating/customer/end"]):
            self._mask_rated(arrays, out, wanted)
        if "decide/state" in out:
            out["decide/state"] = self._masked_decider(out["decide/state"])
        return out

    def _in_state(self, domain: str, text: str, wanted: frozenset[str] | None, code: int) -> str:
        if domain not in self._domains:
            return text
        if wanted is not None and text not in wanted:
            return f"x-{code}"
        return self.text(domain, text)

    def _mask_rated(
        self, arrays: Mapping[str, NDArray[Any]], out: Arrays, wanted: frozenset[str] | None
    ) -> None:
        """Customers that are rated, under the names that the dictionary gives them."""
        domain, names = self._customer_domain, ("bytes", "end")
        known = load_texts({k: arrays[f"dictionaries/{domain}/{k}"] for k in names})
        codes = {text: code for code, text in enumerate(known)}
        prefix = "decide/rating/customer"
        texts = load_texts({k: arrays[f"{prefix}/{k}"] for k in names})
        masked = [
            self._in_state(domain, t, wanted, codes.get(t, len(codes) + n))
            for n, t in enumerate(texts)
        ]
        out |= {f"{prefix}/{k}": v for k, v in save_texts(masked).items()}

    @property
    def _customer_domain(self) -> str:
        column = self._column("customer")
        return column.domain if column else ""

    def _mask_remembered(self, out: Arrays, wanted: frozenset[str] | None) -> None:
        """Identities of remembered transactions, and the texts kept of them."""
        if "remembered/keys" not in out:
            return
        domain = self.schema.columns["account"].domain
        keys = out["remembered/keys"].tobytes().decode().split("\n")
        masked = []
        for number, key in enumerate(keys):
            account, separator, transaction = key.partition(LEG)
            if separator and wanted is not None and account not in wanted:
                masked.append(f"x-{number}{LEG}{number}")
            else:
                masked.append(f"{self.text(domain, account)}{separator}{transaction}")
        out["remembered/keys"] = _bytes("\n".join(masked).encode())
        if TEXT in self._domains:
            texts = msgspec.json.decode(
                out["remembered/texts"].tobytes(), type=list[list[str | None]]
            )
            hidden = [[None if t is None else self.text(TEXT, t) for t in row] for row in texts]
            out["remembered/texts"] = _bytes(msgspec.json.encode(hidden))

    def _masked_decider(self, array: NDArray[Any]) -> NDArray[Any]:
        """Restrictions, groups, suppressions, caps and what is due, by their structure (engine/books.py)."""
        state = msgspec.msgpack.decode(array.tobytes())
        dedup = {rule.id: rule.dedup_by for rule in self.pack.rules}
        for one in state["restrictions"]:
            one["id"] = self.id(one["id"])
            one["entity"] = self.text(one["domain"], one["entity"])
            one["commands"] = [self.id(id_) for id_ in one["commands"]]
        for one in state["groups"]:
            one["entity"] = self._group_entity(dedup.get(one["rule"], ()), one["entity"])
            one["alerts"] = [self.id(id_) for id_ in one["alerts"]]
        for alert in state["alerts"]:
            fields = alert if isinstance(alert, dict) else None
            assert fields is not None, "an open alert is saved by names"
            fields["id"], fields["group"] = (
                self.id(fields["id"]),
                self._group_id(dedup, fields["group"]),
            )
        for one in state["suppressions"]:
            column = self._column(one["field"])
            one["id"] = self.id(one["id"])
            one["entity"] = self.text(column.domain if column else "", one["entity"])
        account = self.schema.columns["account"].domain
        for one in state["held"]:
            one["account"] = self.text(account, one["account"])
        for one in state["cases"]:
            column = self._column(one["field"])
            one["id"] = self.id(one["id"])
            one["entity"] = self.text(column.domain if column else "", one["entity"])
            one["alerts"] = [self.id(id_) for id_ in one["alerts"]]
            one["transactions"] = [[self.text(account, a), t] for a, t in one["transactions"]]
        for one in state["owed"]:
            one["account"] = self.text(account, one["account"])
            one["source"] = f"case {self.id(one['source'].removeprefix('case '))}"
        state["rated"] = [
            [self.id(id_), self.text(self._customer_domain, customer), *rest]
            for id_, customer, *rest in state["rated"]
        ]
        for one in state["desk"]["dry_runs"]:
            one["token"] = self.id(one["token"])
            one["restrictions"] = [self.id(id_) for id_ in one["restrictions"]]
        for one in state["desk"]["appeals"]:
            one["id"] = self.id(one["id"])
            one["restriction_id"] = self.id(one["restriction_id"])
        state["caps"] = [[self._cap(key), times] for key, times in state["caps"]]
        state["alarms"] = [[self._cap(key), time] for key, time in state["alarms"]]
        state["agenda"] = [
            [due, kind, self._group_id(dedup, id_) if GROUP in id_ else self.id(id_)]
            for due, kind, id_ in state["agenda"]
        ]
        state["caps"].sort(key=lambda pair: pair[0])
        state["restrictions"].sort(key=lambda one: one["id"])
        return _bytes(msgspec.msgpack.encode(state))

    def _group_entity(self, columns: tuple[str, ...], entity: str) -> str:
        parts = entity.split(GROUP)
        if len(parts) != len(columns):
            return entity
        domains = [self.schema.columns[name].domain for name in columns]
        return GROUP.join(map(self.text, domains, parts))

    def _group_id(self, dedup: Mapping[str, tuple[str, ...]], id_: str) -> str:
        if GROUP not in id_:
            return id_
        first, rule, entity = id_.split(GROUP, 2)
        return GROUP.join((first, rule, self._group_entity(dedup.get(rule, ()), entity)))

    def _cap(self, key: str) -> str:
        """A cap's key; that of automation names an entity."""
        head, _, rest = key.partition(":")
        if head != "automation":
            return key
        domain, _, entity = rest.partition(":")
        return f"automation:{domain}:{self.text(domain, entity)}"

    def _masked_dictionaries(self, core: Core) -> dict[str, str]:
        """Dictionary -> the domain that its texts are masked in; those of features hold texts of fields."""
        found = {domain: domain for domain in self._domains}
        for place in core.layout.places.values():
            if place.is_code and place.type.kind == TEXT and place.dictionary != TEXT:
                found[place.dictionary] = TEXT
        return found


def kept_fields(setup: Setup) -> dict[str, str]:
    """Personal fields whose content is read, and by what: they cannot be masked without deciding otherwise.

    Raises `ConfigError` for names written into the packs themselves: those cannot leave unread.
    """
    columns = setup.schema.columns
    found: dict[str, str] = {}
    for owner, tree in _trees(setup):
        for name in _read_closely(tree):
            column = columns.get(name)
            if column is not None and column.personal:
                found.setdefault(name, owner)
        for node in tree.walk():
            if node.op == "column" and str(node.value) in columns:
                column = columns[str(node.value)]
                if column.personal and column.kind not in CODED:
                    found.setdefault(column.name, owner)
    for name in setup.configuration.models.reads:
        if name in columns and columns[name].personal:
            found.setdefault(name, "a model")
    for rule in setup.pack.rules:
        by = columns.get(rule.rollout_by)
        if rule.mode != "off" and rule.rollout_percent < 100.0 and by is not None and by.personal:
            found.setdefault(by.name, f"the roll-out of {rule.id}")
    _refuse_written_names(setup.pack, setup)
    return found


def _refuse_written_names(pack: Pack, setup: Setup) -> None:
    personal = {c.domain for c in setup.schema.columns.values() if c.personal and c.kind == "id"}
    for of in pack.lists.values():
        if not of.origin and of.values and of.type.kind == "id" and of.type.detail in personal:
            raise ConfigError(
                f"the list `{of.name}` is written into the pack and names a {of.type.detail}",
                str(of.place),
                why="rule files leave as they are, so the names would leave with them",
                fix="put the names into a file of their own (`file:`), or export with --reveal",
            )


def _trees(setup: Setup) -> Iterator[tuple[str, Node]]:
    """Every expression of a configuration that somebody evaluates, with who does."""
    yield from setup.derived.items()
    for feature in setup.pack.features.values():
        aggregate = feature.aggregate
        parts = [feature.expression]
        if aggregate is not None:
            parts = [aggregate.where, aggregate.argument]
        yield from ((feature.name, part) for part in parts if part is not None)
    for rule in setup.pack.rules:
        if rule.mode != "off":
            yield rule.id, rule.when
            yield rule.id, rule.score
            for clause in rule.exceptions:
                yield rule.id, clause.when


def _read_closely(tree: Node) -> Iterator[str]:
    """Columns of texts of which more is asked than whether they are the same, there, or in a list."""
    for node in tree.walk():
        coded = [a for a in node.args if a.type.is_coded]
        if node.op in ("==", "!="):
            against_text = any(a.op == "const" for a in coded)
            names = [a for a in coded if a.op == "column"] if against_text else []
        elif node.op == "in":
            names = coded if not isinstance(node.value, str) else []
        elif node.op in ("missing", "??", "if"):
            names = []
        else:
            names = coded
        for part in names:
            yield from part.columns()


def _bytes(data: bytes) -> NDArray[Any]:
    return np.frombuffer(data, np.uint8).copy()
