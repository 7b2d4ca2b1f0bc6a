"""The orders that the desk takes, as they are written; one form each, told apart by `command`."""

from typing import Any, Final, Literal, TypeAlias

import msgspec

Verdict: TypeAlias = Literal["justified", "mistaken", "unclear"]


class Form(msgspec.Struct, tag_field="command", kw_only=True):
    by: str = ""
    reason: str = ""
    door: dict[str, Any] = {}  # what the door has found out, see engine/signing.py

    @property
    def name(self) -> str:
        """The command as it is written."""
        return str(self.__struct_config__.tag)


class Meant(Form):
    """An order about one restriction, named by its id or by that of one of its commands."""

    restriction_id: str = ""
    command_id: str = ""


class Acknowledge(Meant, tag="acknowledge"):
    pass


class Reject(Meant, tag="reject"):
    pass


class Withheld(Meant, tag="withheld"):
    """A command was not sent, because the mode had become observe by then."""


class Release(Meant, tag="release"):
    order: str = ""  # number of the authority's order that lifts one
    legal_basis: str = ""
    discounted: tuple[str, ...] = ()  # rules or alerts that were wrong
    verdict: Verdict = "unclear"
    emergency: bool = False  # at night: lifts at once, a second signature follows


class Countersign(Meant, tag="countersign"):
    pass


class Appeal(Meant, tag="appeal"):
    pass


class DecideAppeal(Form, tag="decide_appeal", kw_only=True):
    appeal_id: str = ""
    decision: Literal["granted", "refused"]
    legal_basis: str = ""
    discounted: tuple[str, ...] = ()
    verdict: Verdict = "unclear"


class ReleaseRule(Form, tag="release_rule"):
    rule: str
    since: str = ""
    dry_run: bool = True
    token: str = ""  # of the dry run: no more than that is released
    legal_basis: str = ""
    verdict: Verdict = "unclear"
    emergency: bool = False


class Restrict(Form, tag="restrict"):
    entity: dict[str, str]
    level: Literal["watch", "limit", "amount_hold", "no_debit", "no_credit", "full_freeze"]
    for_: str = msgspec.field(default="", name="for")
    expires_at: str = ""
    amount: str | float | None = None
    channels: tuple[str, ...] = ()
    order: str = ""
    legal_basis: str = ""


class Resolve(Form, tag="resolve"):
    """Close an alert, or decide a challenged or held transaction."""

    alert_id: str = ""
    outcome: str = ""
    transaction_id: str = ""
    account: str = ""


class ChallengePassed(Form, tag="challenge_passed"):
    transaction_id: str
    account: str


class ChallengeFailed(Form, tag="challenge_failed"):
    transaction_id: str
    account: str


class Suppress(Form, tag="suppress"):
    rule: str
    entity: dict[str, str]
    until: str


class Assign(Form, tag="assign"):
    case_id: str
    to: str = ""  # "": to who asks


class Close(Form, tag="close", kw_only=True):
    """verdicts : transaction id -> label, where it is another than the verdict of the case."""

    case_id: str
    verdict: Literal["fraud", "genuine", "unclear"]
    verdicts: dict[str, Literal["fraud", "genuine", "unclear"]] = {}


class RuleOff(Form, tag="rule_off"):
    rule: str
    for_: str = msgspec.field(default="", name="for")


class RuleOn(Form, tag="rule_on"):
    rule: str


class Mode(Form, tag="mode"):
    effect: Literal["observe", "enforce"]


class ListAdd(Form, tag="list_add"):
    """Add a value to a list until a time, or for a while; what the files say stays as it is."""

    list_: str = msgspec.field(name="list")
    value: str
    until: str = ""
    for_: str = msgspec.field(default="", name="for")
    reference: str = ""


class ListRemove(Form, tag="list_remove"):
    list_: str = msgspec.field(name="list")
    value: str


Command: TypeAlias = (
    Acknowledge
    | Reject
    | Withheld
    | Release
    | Countersign
    | Appeal
    | DecideAppeal
    | ReleaseRule
    | Restrict
    | Resolve
    | ChallengePassed
    | ChallengeFailed
    | Suppress
    | Assign
    | Close
    | RuleOff
    | RuleOn
    | Mode
    | ListAdd
    | ListRemove
)
FORMS: Final[tuple[type[Form], ...]] = Command.__args__
COMMANDS: Final = frozenset(str(form.__struct_config__.tag) for form in FORMS)
OF_CORE_BANKING: Final = (Acknowledge, Reject, Withheld, ChallengePassed, ChallengeFailed)
