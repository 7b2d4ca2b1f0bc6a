"""Who may give the engine orders: people, their roles and the keys they sign with (`people.yaml` of a configuration).

Roles belong to the configuration, so they are judged in the deterministic core and a replay judges the same. Secrets do
not: a key names an environment variable or a file, and signatures are checked at the door (engine/signing.py).

    act                     roles                                   who
    acknowledge, reject,    core_banking                            or the input stream, which is core banking's own
    withheld
    challenge_passed,       core_banking
    challenge_failed
    suppress, assign,       analyst, supervisor
    close, appeal
    resolve                 analyst, supervisor, duty_officer       one person: of an alert, or of a transaction
    restrict                analyst, supervisor, duty_officer       one person; `order`: legal
    release                 analyst, supervisor, duty_officer       one person, any level but full_freeze
    release_full_freeze     analyst, supervisor, duty_officer       two different people
    release_at_night        duty_officer                            lifts at once; a second signature within 24 h
    release_order           legal                                   of a restriction that stands by order
    countersign             supervisor, duty_officer                not who released
    decide_appeal           supervisor                              not who opened it
    release_rule            supervisor, duty_officer                dry run first
    rule_off                analyst, supervisor, duty_officer       one person
    rule_on                 supervisor, duty_officer
    activate                analyst, supervisor                     a configuration
    approve,                supervisor                              approve: not who proposed it
    reject_proposal
    list_add, list_remove   analyst, supervisor, duty_officer       one person
    promote, unfreeze       analyst, supervisor                     a model; two people where settings say `approval:
                                                                    required`, the second a supervisor
    freeze                  analyst, supervisor, duty_officer       a model, one person
    observe                 supervisor, duty_officer, operator      one person
    enforce                 supervisor, duty_officer, operator      two different people

An auditor reads, and orders nothing. Without people in the file nobody is asked for a role.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from config import marks
from config.durations import duration_us
from config.errors import ConfigError, InputError

PEOPLE_FILE: Final = "people.yaml"
Role = Literal[
    "analyst", "supervisor", "duty_officer", "legal", "operator", "auditor", "core_banking"
]

_DESK: Final = frozenset({"analyst", "supervisor", "duty_officer"})
_CHIEF: Final = frozenset({"supervisor", "duty_officer"})
_CASE: Final = frozenset({"analyst", "supervisor"})
_CORE: Final = frozenset({"core_banking"})
MAY: Final[Mapping[str, frozenset[str]]] = {
    "acknowledge": _CORE,
    "reject": _CORE,
    "withheld": _CORE,
    "challenge_passed": _CORE,
    "challenge_failed": _CORE,
    "suppress": _CASE,
    "assign": _CASE,
    "close": _CASE,
    "appeal": _CASE,
    "resolve": _DESK,
    "restrict": _DESK,
    "restrict_order": frozenset({"legal"}),
    "release": _DESK,
    "release_full_freeze": _DESK,
    "release_at_night": frozenset({"duty_officer"}),
    "release_order": frozenset({"legal"}),
    "countersign": _CHIEF,
    "decide_appeal": frozenset({"supervisor"}),
    "release_rule": _CHIEF,
    "rule_off": _DESK,
    "rule_on": _CHIEF,
    "activate": _CASE,
    "approve": frozenset({"supervisor"}),
    "reject_proposal": _CASE,
    "list_add": _DESK,
    "list_remove": _DESK,
    "promote": _CASE,
    "approve_promotion": frozenset({"supervisor"}),
    "freeze": _DESK,
    "unfreeze": _CASE,
    "observe": _CHIEF | {"operator"},
    "enforce": _CHIEF | {"operator"},
}


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the secret of a key stands: one of the two."""

    key_env: str = ""
    key_file: str = ""

    def __post_init__(self) -> None:
        if bool(self.key_env) == bool(self.key_file):
            raise ConfigError(
                "a key needs `key_env` or `key_file`, one of them",
                why="a secret never stands in a configuration, which is stored and handed on",
                fix="write {key_env: WEIR_KEY_A_LI}",
            )


class Person(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One person, or a system that acts like one."""

    name: str
    roles: tuple[Role, ...]
    keys: dict[str, Key] = {}


class People(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everybody who may give orders.

    signatures : required: an order that is not signed with a key of who gave it is refused
    freshness  : how old a signature may be when it arrives
    """

    signatures: Literal["required", "optional"] = "optional"
    freshness: str = "10m"
    people: dict[str, Person] = {}

    def __post_init__(self) -> None:
        duration_us(self.freshness)
        if self.signatures == "required" and not self.people:
            raise ConfigError(
                "`signatures` are required, and nobody is named under `people`",
                why="no order could ever be given",
                fix="name the people, or write signatures: optional",
            )
        keys = [key for person in self.people.values() for key in person.keys]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise ConfigError(
                f"two people have a key called `{twice[0]}`",
                why="a signature must tell who gave it",
                fix="give each key a name of its own",
            )

    @property
    def freshness_us(self) -> int:
        return duration_us(self.freshness)

    def owner_of(self, key: str) -> str:
        """Id of the person whose key it is; "" if nobody's."""
        return next((id_ for id_, person in self.people.items() if key in person.keys), "")

    def demand(self, by: str, act: str) -> None:
        """Raise `InputError` unless `by` may do `act`; see the table above."""
        if not self.people:
            return
        person = self.people.get(by)
        if person is None:
            raise InputError(
                f"nobody is known as `{by}`",
                why=f"{PEOPLE_FILE} names everybody who may give orders",
                fix="give the id of a person, not a name",
            )
        allowed = MAY[act]
        if allowed.isdisjoint(person.roles):
            raise InputError(
                f"`{by}` may not {act.replace('_', ' ')}",
                why=f"it needs the role {' or '.join(sorted(allowed))}; "
                f"{by} is {', '.join(person.roles) or 'without one'}",
                fix="have somebody do it who has the role",
            )

    def has(self, by: str, act: str) -> bool:
        """Whether `by` is known, and may do `act`."""
        person = self.people.get(by)
        return person is not None and not MAY[act].isdisjoint(person.roles)


NOBODY: Final = People()


def read(path: Path) -> People:
    """Read a people.yaml; without the file nobody is named. Raises `ConfigError` naming file, line and key."""
    return marks.convert(marks.read(path), People) if path.is_file() else NOBODY
