"""The language of rule files as one table: each mapping a file may hold, its keys, and what each key takes.

    language.RULE.key("severity").words        what may stand there
    language.order(language.RULE)              the keys in the order in which a tidy file has them

The reader (rules/reader.py) finds unknown, missing and misspelt keys by this table; the JSON Schema for editors
(rules/json_schema.py), the reference (rules/REFERENCE.md) and the order that `weir rules fmt` writes come from it too,
so that they cannot say different things. What an expression may say is rules/syntax.py and rules/functions.py. A key
that a reader asks for and the table does not know is a mistake of ours and stops it; a test holds the other direction.
"""

from dataclasses import dataclass, field
from typing import Final

from config.decisions import DECISIONS, LEVELS

VERSION: Final = 1  # of the language: `language: 1` in pack.yaml

# How many values stand under a key.
ONE, SOME, LIST, NAMES = "one", "one or a list", "list", "mapping of names"
TAGGED = "list of one-key mappings"  # - alert: {...}: the key says which shape the value has

# What a value is. A text of each kind is read as this table says and nowhere by what YAML thinks of it.
KINDS: Final[dict[str, str]] = {
    "text": "any text",
    "name": "small letters, digits and underscores, a letter first",
    "id": "capital letters, digits and hyphens, such as CARD-TEST-001",
    "word": "one of the words listed",
    "condition": "an expression that is true or false",
    "expression": "an expression",
    "number expression": "an expression whose value is a number",
    "feature": "an aggregate over a window, or an expression over fields and features",
    "value": "a written value: a number, amount, share, duration, date, time of day, or text",
    "values": "a list of written values",
    "template": "a text with holes: {expression} or {expression|format}; formats are round, percent, last4",
    "duration": "whole numbers of units (w, d, h, m, s, ms), such as 30m or 1h30m",
    "offset": "a duration after the start of the test, such as +3h",
    "date or time": "a date (its midnight in the zone of the pack) or a time with offset, 2026-03-02T10:00:00Z",
    "whole number": "a number without decimals; digits may be grouped by underscores",
    "number": "digits, a minus and a point if wanted; digits may be grouped by underscores",
    "percent": "a share in percent, such as 2%",
    "rollout": "a share of keys, such as 25% by card",
    "due": "a number of working days, or a duration",
    "field": "a field of the schema that is an id or a category",
    "event": "an event type of the schema",
    "list": "the name of a list",
    "entity": "a field whose entity can be restricted",
    "channel": "a channel of the schema",
    "currency": "an ISO 4217 code",
    "zone": "an IANA time zone",
    "file": "a path inside the pack",
    "pack": "the name of a pack, and if wanted the least version: core@^2.1",
    "field value": "a value as it stands in a message; of an event also a list of values to go through",
    "attribute": "a value as it stands in a profile message",
    "anything": "whatever stands there in a rule",
}

SEVERITIES: Final = ("low", "medium", "high", "critical")
MODES: Final = ("live", "shadow", "off")
UNDECIDED: Final = ("review", "challenge", "hold", "decline")
HOLD_THEN: Final = ("release", "review", "decline")  # when the time of a hold is over
COMBINES: Final = ("sum", "max", "noisy_or")
LIST_TYPES: Final = ("id", "category", "text", "number")
EXPECTATIONS: Final = ("fires", "quiet", "excepted", "deduplicated", "undecided")
LANGUAGES: Final = ("en", "zh")  # that people read sentences in
SCOPES: Final = ("card", "account", "customer", "account.outgoing", "online_banking")


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a mapping.

    kind     : what a value is, one of KINDS; "" where only a mapping can stand
    form     : ONE value, SOME (one or a list), a LIST, a TAGGED list, or a mapping of NAMES to values
    shapes   : names of the mappings that may stand in place of a value (of each value where there are several)
    required : whether it must be there; `unless` says when it need not be, and the reader decides that
    since    : version of the language that knows it first
    """

    name: str
    kind: str
    doc: str
    example: str
    required: bool = False
    unless: str = ""
    words: tuple[str, ...] = ()
    form: str = ONE
    shapes: tuple[str, ...] = ()
    since: int = 1

    def __post_init__(self) -> None:
        assert not self.kind or self.kind in KINDS, self.kind
        assert (self.kind == "word") == bool(self.words), self.name

    @property
    def is_wanted(self) -> bool:
        """Whether its absence is always a mistake."""
        return self.required and not self.unless


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of mapping: its keys in the order in which a tidy file has them.

    short : the key that is meant where a bare value stands in place of the mapping
    open  : what keys beside these are, where any may stand: names of fields in a test event
    """

    name: str
    doc: str
    keys: tuple[Key, ...]
    short: str = ""
    open: str = ""
    _named: dict[str, Key] = field(init=False, repr=False, compare=False)  # asked 100 times a rule

    def __post_init__(self) -> None:
        object.__setattr__(self, "_named", {key.name: key for key in self.keys})

    def key(self, name: str) -> Key:
        """The key of that name; it must be one of the table."""
        known = self._named.get(name)
        if known is None:
            raise AssertionError(
                f"rules/language.py knows no key {name!r} of {self.name}: add it there"
            )
        return known

    def __contains__(self, name: object) -> bool:
        return name in self._named


SENTENCES: Final = Shape(
    "sentences",
    "One sentence in each language.",
    (
        Key("en", "text", "In English.", "Many small purchases, then a large one", required=True),
        Key("zh", "text", "In Chinese.", "多笔小额交易后出现大额交易"),
    ),
)

CUSTOMER_SENTENCES: Final = Shape(
    "customer sentences",
    "What the customer is told, in each language.",
    (
        Key(
            "tell",
            "word",
            "Whether the customer may learn what the bank looks into; if not, the sentence is a neutral one.",
            "true",
            words=("true", "false"),
        ),
        *SENTENCES.keys,
    ),
)

REASON: Final = Shape(
    "reason",
    "What a reason code says; a bare text is the English sentence for analysts.",
    (
        Key("analyst", "", "For those who read alerts.", "", required=True, shapes=("sentences",)),
        Key("customer", "", "For the customer.", "", shapes=("customer sentences",)),
    ),
)

BAND: Final = Shape(
    "band",
    "Scores that mean one decision.",
    (
        Key("from", "number", "The lowest score of the band.", "0", required=True),
        Key(
            "to",
            "number",
            "The score at which the next band begins; the last band includes it.",
            "1000",
            required=True,
        ),
        Key("do", "word", "The decision.", "review", required=True, words=DECISIONS),
    ),
)

DECISION: Final = Shape(
    "decision",
    "How the scores of the rules that fired become a decision.",
    (
        Key(
            "combine",
            "word",
            "How scores become one, clipped to 0..1000: their sum, the largest, or 1000 times the chance that not all "
            "of them are wrong (each score/1000 taken as a chance).",
            "sum",
            required=True,
            words=COMBINES,
        ),
        Key(
            "bands",
            "",
            "Which score means which decision; without gaps and overlaps from 0 to 1000.",
            "[{from: 0, to: 1000, do: approve}]",
            required=True,
            form=LIST,
            shapes=("band",),
        ),
    ),
)

ROW: Final = Shape(
    "row",
    "One row of a list, with what else is known about the value. Rows outside their validity match nothing.",
    (
        Key("value", "value", "The value, or a range such as 3000-3299.", "A1", required=True),
        Key(
            "valid_from",
            "date or time",
            "From which event time on the row holds; a date is its midnight in the pack's zone.",
            "2026-03-01",
        ),
        Key(
            "valid_until",
            "date or time",
            "Up to which event time, that time not included.",
            "2026-09-01",
        ),
    ),
    short="value",
    open="column",
)

LIST_OF: Final = Shape(
    "list",
    "A named list; its content is data and may change without the rules.",
    (
        Key("description", "text", "What the list is for.", "telephones of branches"),
        Key(
            "file",
            "file",
            "A CSV file with a heading; the first column is the value. valid_from and valid_until say when a row "
            "holds, further columns (source, reference, category) can stand in titles: {@list.reference}.",
            "lists/kiosks.csv",
        ),
        Key(
            "values",
            "value",
            "The values themselves, in place of a file. Codes and numbers may be ranges, 3000-3299.",
            '["branch_cash", "atm_deposit"]',
            form=LIST,
            shapes=("row",),
        ),
        Key("type", "word", "What the values are.", "id", required=True, words=LIST_TYPES),
        Key(
            "of",
            "text",
            "Of which field, or of which kind of id or category.",
            "device",
            required=True,
            unless="the type is text or number",
        ),
        Key("owner", "text", "Who answers for the content.", "branch-it"),
        Key(
            "review_by", "date or time", "When somebody has to look through it again.", "2027-09-30"
        ),
    ),
)

TABLE: Final = Shape(
    "table",
    "A look-up from an id or category to a number, an amount or a duration: limit[segment].",
    (
        Key("description", "text", "What the table is for.", "how sure the model must be"),
        Key("owner", "text", "Who answers for the content.", "model-risk"),
        Key("key", "field", "The field that is looked up.", "channel", required=True),
        Key(
            "values",
            "value",
            "What each key gives.",
            "{web: 0.92, pos: 0.9}",
            required=True,
            form=NAMES,
        ),
        Key("default", "value", "What a missing or unlisted key gives.", "0.95", required=True),
    ),
)

FEATURE: Final = Shape(
    "feature",
    "A feature with more to say about it than what it is; a bare text is `is`.",
    (
        Key("is", "feature", "What it is.", "count() by card over 1h", required=True),
        Key("owner", "text", "Who answers for it.", "cards-fraud"),
        Key("description", "text", "What it is for.", "how busy the card is"),
        Key(
            "approx",
            "percent",
            "The standard error that count_distinct and quantile may have, 0.5% to 10%, so that a busy key costs less.",
            "2%",
        ),
        Key(
            "warm_after",
            "duration",
            "After how long it can be trusted when it is added to a running engine.",
            "7d",
        ),
    ),
    short="is",
)

PARAM: Final = Shape(
    "param",
    "A value with the reason for it; a bare value has none.",
    (
        Key("value", "value", "The value.", "5", required=True),
        Key("why", "text", "Why it is what it is.", "two may be chance", required=True),
    ),
    short="value",
)

EFFECTIVE: Final = Shape(
    "effective",
    "The time in which a rule counts, by event time.",
    (
        Key("from", "date or time", "From then on.", "2026-02-01"),
        Key("until", "date or time", "Up to then, not including it.", "2027-02-01"),
    ),
)

IF_UNDECIDED: Final = Shape(
    "if_undecided",
    "What happens when the condition is neither true nor false because a field is missing.",
    (
        Key("score", "number", "What is added to the score then.", "200"),
        Key("do", "word", "The least decision then.", "review", words=UNDECIDED),
    ),
)

DEDUP: Final = Shape(
    "dedup",
    "Which matches belong to one alert. A restriction that is pending or in force is not repeated either.",
    (
        Key(
            "by",
            "field",
            "Matches with the same value here belong together.",
            "card",
            required=True,
            form=SOME,
        ),
        Key("for", "duration", "For how long after the first.", "6h", required=True),
    ),
)

EXCEPTION: Final = Shape(
    "exception",
    "A policy that lets a match pass; the match is recorded as excepted.",
    (
        Key("id", "id", "Its name, permanent.", "EX-KIOSK", required=True),
        Key(
            "when",
            "condition",
            "Which matches pass. Missing means that it does not apply.",
            "amount < 50 CNY",
            required=True,
        ),
        Key("why", "text", "Why they may.", "kiosks stand in branches", required=True),
        Key("approved_by", "text", "Who allowed it.", "j.brandt", required=True),
        Key("expires", "date or time", "When it ends, by event time.", "2027-12-31", required=True),
    ),
)

_FOR_RESTRICTION: Final = (
    Key("for", "duration", "How long, at most 72h; `watch` may be longer.", "24h", required=True),
    Key(
        "max_per_hour",
        "whole number",
        "How many an hour there may be; what goes beyond becomes review.",
        "30",
        required=True,
    ),
)
_TITLE: Final = Key(
    "title", "template", "What those who read it see first.", '"{amount} on {account}"'
)

ALERT: Final = Shape(
    "alert",
    "Put an alert into a queue for people.",
    (Key("queue", "text", "Which queue.", "cards-l1", required=True), _TITLE),
    short="queue",
)

CHALLENGE: Final = Shape(
    "challenge",
    "Ask the customer to confirm; decides challenge at least.",
    (
        Key("method", "text", "How.", "push", required=True),
        Key("for", "duration", "How long the answer may take, at most 7d.", "10m"),
    ),
    short="method",
)

HOLD: Final = Shape(
    "hold",
    "Hold the transaction; decides hold at least.",
    (
        Key("for", "duration", "How long, at most 30d.", "24h", required=True),
        Key(
            "then",
            "word",
            "What happens when the time is over and nobody decided.",
            "release",
            words=HOLD_THEN,
        ),
        Key(
            "max_per_hour",
            "whole number",
            "How many an hour there may be; what goes beyond becomes review.",
            "30",
        ),
    ),
)

DECLINE: Final = Shape(
    "decline",
    "Refuse the transaction.",
    (Key("code", "text", "The code that core banking answers with.", "57", required=True),),
    short="code",
)

RESTRICT: Final = Shape(
    "restrict",
    "Restrict what an account, card, customer, device, merchant or terminal can do.",
    (
        Key(
            "scope",
            "word",
            "A ready choice of entity, level and channels, in place of these.",
            "card",
            words=SCOPES,
        ),
        Key("entity", "entity", "Whom.", "device", required=True, unless="there is a scope"),
        Key(
            "level",
            "word",
            "How severely.",
            "no_debit",
            required=True,
            unless="there is a scope",
            words=LEVELS,
        ),
        Key(
            "amount",
            "value",
            "Of limit: up to which amount still passes. Of amount_hold: how much is held.",
            "500 CNY",
        ),
        Key("channels", "channel", "In which channels only.", "[web, mobile]", form=SOME),
        *_FOR_RESTRICTION,
    ),
)

FREEZE: Final = Shape(
    "freeze",
    "Restrict at full freeze (account.outgoing: no debits; online_banking: no debits in online channels).",
    (
        Key("scope", "word", "What is frozen.", "card", required=True, words=SCOPES),
        *_FOR_RESTRICTION,
    ),
)

NOTIFY: Final = Shape(
    "notify",
    "Send a message.",
    (
        Key(
            "template",
            "text",
            "Which message; the texts are with whoever sends them.",
            "card_frozen",
            required=True,
        ),
        Key("to", "text", "To whom.", "customer", required=True),
    ),
)

LIST_ADD: Final = Shape(
    "list_add",
    "Put a value of the event on a list for a time.",
    (
        Key("list", "list", "Which list.", "watched_devices", required=True),
        Key("value", "expression", "The field whose value is put there.", "device", required=True),
        Key("for", "duration", "For how long, at most 3650d.", "30d", required=True),
        Key("max_per_hour", "whole number", "How many an hour there may be.", "50", required=True),
    ),
)

TAG: Final = Shape(
    "tag",
    "Put a word on the decision, for other systems.",
    (Key("name", "text", "The word.", "first_abroad", required=True),),
    short="name",
)

REPORT: Final = Shape(
    "report",
    "Ask for a report to an authority; one for each value of `by` and day.",
    (
        Key("kind", "name", "What is reported.", "large_cash", required=True),
        Key("to", "text", "Who gets it.", "aml-desk", required=True),
        Key("title", "template", "What it says first.", '"{amount} in cash"', required=True),
        Key("by", "field", "Whose values make one report.", "customer", required=True, form=SOME),
        Key("due", "due", "When it must be out.", "5 working days", required=True),
        Key("holidays", "list", "A list of dates that are no working days.", "holidays"),
        Key(
            "workdays",
            "list",
            "A list of dates that are working days though on a weekend.",
            "workdays",
        ),
    ),
)

ACTIONS: Final[dict[str, Shape]] = {
    shape.name: shape
    for shape in (ALERT, CHALLENGE, HOLD, DECLINE, RESTRICT, FREEZE, NOTIFY, LIST_ADD, TAG, REPORT)
}
ACTION_KINDS: Final = tuple(ACTIONS)

EVENT: Final = Shape(
    "event",
    "One event of a test; beside these keys stand the fields of the message.",
    (
        Key("at", "offset", "When, after the start.", "+3h", required=True),
        Key(
            "every",
            "duration",
            "The time between two values of a list: the event is repeated with each.",
            "1m",
        ),
        Key(
            "expect",
            "word",
            "What the rule must do with it; quiet unless told.",
            "fires",
            words=EXPECTATIONS,
        ),
        Key(
            "expect_features",
            "value",
            "Values that features must have then.",
            "{auths_15m: 5}",
            form=NAMES,
        ),
        Key(
            "expect_actions",
            "word",
            "The actions that the rule must ask for, before any limit.",
            "[alert, freeze]",
            words=ACTION_KINDS,
            form=SOME,
        ),
    ),
    open="field value",
)

FIELDS: Final = Shape("fields", "Fields of a message.", (), open="field value")
PROFILE: Final = Shape(
    "profile", "A profile message: whom it is about, and attributes.", (), open="attribute"
)

TEST: Final = Shape(
    "test",
    "A timeline of events with what is expected of the rule; it begins with an empty history.",
    (
        Key("name", "text", "What the test shows.", "five small then a large one", required=True),
        Key(
            "start",
            "date or time",
            "The time that events count from.",
            "2026-03-02T10:00:00Z",
            required=True,
        ),
        Key(
            "defaults",
            "",
            "Fields that every event has unless it says otherwise.",
            "{type: card_auth, card: C1}",
            shapes=("fields",),
        ),
        Key(
            "lists",
            "values",
            "What lists hold during the test, in place of their files; a row may have dates, as in a list.",
            "{branch_kiosks: [D2, {value: D3, valid_until: 2026-03-02T12:00:00Z}]}",
            form=NAMES,
        ),
        Key(
            "profiles",
            "",
            "What is known of customers, accounts and cards at the start.",
            "[{customer: K1, segment: student}]",
            form=LIST,
            shapes=("profile",),
        ),
        Key(
            "rates",
            "number",
            "What one unit of a currency costs in that of the pack.",
            "{USD: 7.00}",
            form=NAMES,
        ),
        Key(
            "events",
            "",
            "The events in the order of time.",
            "[{at: +0m, amount: 5 CNY, expect: quiet}]",
            required=True,
            form=LIST,
            shapes=("event",),
        ),
    ),
)

RULE: Final = Shape(
    "rule",
    "One rule.",
    (
        Key(
            "id",
            "id",
            "Its name for ever; never used again when it is gone.",
            "CARD-TEST-001",
            required=True,
        ),
        Key(
            "name",
            "text",
            "What it looks for, in a line.",
            "Tiny purchases, then a large one",
            required=True,
        ),
        Key("version", "whole number", "Goes up by one with each change of what it does.", "1"),
        Key("owner", "text", "Who answers for it.", "cards-fraud", required=True),
        Key(
            "severity",
            "word",
            "How bad a match is; only high and critical may freeze.",
            "high",
            required=True,
            words=SEVERITIES,
        ),
        Key(
            "reason",
            "text",
            "A code of `reasons`: what people are told.",
            "CARD_TESTING",
            required=True,
        ),
        Key("on", "event", "Which events it looks at.", "card_auth", required=True, form=SOME),
        Key(
            "mode",
            "word",
            "live acts, shadow only counts, off does not run.",
            "shadow",
            required=True,
            words=MODES,
        ),
        Key(
            "effective",
            "",
            "From when until when it counts.",
            "{from: 2026-02-01}",
            shapes=("effective",),
        ),
        Key(
            "rollout",
            "rollout",
            "For which share of keys it acts; for the rest it only counts.",
            "25% by card",
        ),
        Key(
            "purpose",
            "text",
            "Why the bank wants it.",
            "Stop a card that was tried out before it is spent.",
        ),
        Key(
            "description",
            "text",
            "How the fraud works and what the rule leaves alone.",
            "Stolen numbers are tried with tiny sums first.",
        ),
        Key(
            "references",
            "text",
            "Where to read more.",
            '["https://wiki.example/card-testing"]',
            form=SOME,
        ),
        Key(
            "params",
            "value",
            "Values that can be tuned without touching the logic; $name in expressions.",
            "{shops: {value: 4, why: three may be chance}}",
            form=NAMES,
            shapes=("param",),
        ),
        Key(
            "features",
            "feature",
            "Features that only this rule reads.",
            "{tiny_1h: count() by card over 1h where amount < 9 CNY}",
            form=NAMES,
            shapes=("feature",),
        ),
        Key(
            "let",
            "expression",
            "Names for expressions of this rule.",
            "{km: 'distance_km(lat, lon, prev_lat, prev_lon)'}",
            form=NAMES,
        ),
        Key(
            "when",
            "condition",
            "When it fires: when this is definitely true.",
            "amount >= $large",
            required=True,
        ),
        Key(
            "candidate",
            "condition",
            "A second condition that is tried beside the first.",
            "amount >= 2 * $large",
            since=2,
        ),
        Key(
            "score",
            "number expression",
            "What it adds to the score, -1000 to 1000.",
            "450",
            required=True,
            unless="all its actions are reports",
        ),
        Key(
            "if_undecided",
            "",
            "What a missing field means for it.",
            "{do: review}",
            shapes=("if_undecided",),
        ),
        Key(
            "actions",
            "",
            "What happens when it fires; each item is one action.",
            "[alert: {queue: cards-l1}]",
            form=TAGGED,
            shapes=ACTION_KINDS,
        ),
        Key(
            "dedup",
            "",
            "Which matches belong to one alert.",
            "{by: card, for: 6h}",
            shapes=("dedup",),
        ),
        Key(
            "exceptions",
            "",
            "Which matches pass, and until when.",
            "[]",
            form=LIST,
            shapes=("exception",),
        ),
        Key("tests", "", "What it must do, by example.", "[]", form=LIST, shapes=("test",)),
    ),
)

OVERRIDE: Final = Shape(
    "override",
    "A change to one rule of a pack that this one extends.",
    (
        Key("rule", "id", "Which rule.", "STRUCT-001", required=True),
        Key(
            "written_for",
            "whole number",
            "The version of the rule that it was written for.",
            "4",
            required=True,
        ),
        Key("narrow", "condition", "And this must hold too.", 'channel == "web"'),
        Key("replace_when", "condition", "In place of the condition.", "amount > 5_000 CNY"),
        Key(
            "set",
            "anything",
            "Other values: keys of the rule, params.NAME, dedup.KEY, effective.KEY, if_undecided.KEY, "
            "actions.KIND.KEY (actions.N.KEY, from 1, where a kind stands twice), exceptions.ID.KEY.",
            "{mode: shadow, params.floor: 5_000 CNY}",
            form=NAMES,
        ),
        Key(
            "add",
            "anything",
            "More items for lists of the rule.",
            "{exceptions: []}",
            form=NAMES,
        ),
    ),
)

RETIRED: Final = Shape(
    "retired",
    "A rule that is gone; its id is never used again.",
    (
        Key("id", "id", "Its id.", "CARD-OLD-001", required=True),
        Key("on", "date or time", "When it was retired.", "2026-05-01", required=True),
        Key("why", "text", "Why.", "CARD-TEST-001 does it better", required=True),
        Key("replaced_by", "id", "What does its work now.", "CARD-TEST-001", form=SOME),
    ),
)

SUPPRESSION: Final = Shape(
    "suppression",
    "A rule is silenced for one entity for a time; matches stay on record.",
    (
        Key("rule", "id", "Which rule.", "TRAVEL-001", required=True),
        Key(
            "entity",
            "text",
            "For whom: one field and its value.",
            "{card: C7}",
            required=True,
            form=NAMES,
        ),
        Key("until", "date or time", "Until when.", "2026-04-01", required=True),
        Key("why", "text", "Why.", "the customer is known to travel", required=True),
        Key("by", "text", "Who did it.", "m.keller", required=True),
    ),
)

SECTIONS: Final = Shape(
    "file",
    "What any YAML file of a pack may hold; names are shared by the whole pack, the split over files is free.",
    (
        Key(
            "reasons",
            "text",
            "Reason codes, and what each says.",
            "{CARD_TESTING: 'Tiny purchases, then a large one'}",
            form=NAMES,
            shapes=("reason",),
        ),
        Key("lists", "", "Named lists.", "{}", form=NAMES, shapes=("list",)),
        Key(
            "tables",
            "",
            "Look-ups from an id or category to a number.",
            "{}",
            form=NAMES,
            shapes=("table",),
        ),
        Key(
            "macros",
            "expression",
            "Names for expressions that several rules use.",
            "{outgoing: 'direction == \"out\"'}",
            form=NAMES,
        ),
        Key(
            "features",
            "feature",
            "What is counted, summed or remembered.",
            "{auths_1h: count() by card over 1h}",
            form=NAMES,
            shapes=("feature",),
        ),
        Key("rules", "", "The rules.", "[]", form=LIST, shapes=("rule",)),
        Key(
            "overrides",
            "",
            "Changes to rules of extended packs.",
            "[]",
            form=LIST,
            shapes=("override",),
        ),
        Key("retired", "", "Rules that are gone.", "[]", form=LIST, shapes=("retired",)),
        Key(
            "suppressions",
            "",
            "Rules that are silenced for a time.",
            "[]",
            form=LIST,
            shapes=("suppression",),
        ),
    ),
)

_INHERITED: Final = "the pack extends another, or runs after another"
PACK: Final = Shape(
    "pack",
    "What holds for a pack as a whole; the sections of any file may stand here too.",
    (
        Key("pack", "text", "Its name.", "core", required=True),
        Key("version", "text", "Its version, three numbers.", "4.2.0", required=True),
        Key("extends", "pack", "The pack whose names and rules it builds on.", "core@^2.1"),
        Key(
            "language",
            "word",
            "The version of this language.",
            str(VERSION),
            required=True,
            unless=_INHERITED,
            words=(str(VERSION),),
        ),
        Key(
            "currency",
            "currency",
            "What bare numbers next to money mean.",
            "CNY",
            required=True,
            unless=_INHERITED,
        ),
        Key(
            "timezone",
            "zone",
            "For local times, dates and calendar windows.",
            "Asia/Shanghai",
            required=True,
            unless=_INHERITED,
        ),
        Key(
            "retention",
            "duration",
            "No window looks back further.",
            "400d",
            required=True,
            unless=_INHERITED,
        ),
        Key(
            "max_freezes_per_hour",
            "whole number",
            "How many freezes an hour all rules together may ask for; 0 for no limit.",
            "60",
        ),
        Key(
            "decision",
            "",
            "How scores become a decision.",
            "",
            required=True,
            unless=_INHERITED,
            shapes=("decision",),
        ),
        *SECTIONS.keys,
    ),
)

SHAPES: Final[dict[str, Shape]] = {
    shape.name: shape
    for shape in (
        *(
            PACK,
            DECISION,
            BAND,
            SECTIONS,
            REASON,
            SENTENCES,
            CUSTOMER_SENTENCES,
            ROW,
            LIST_OF,
            TABLE,
            FEATURE,
        ),
        *(RULE, PARAM, EFFECTIVE, IF_UNDECIDED, DEDUP, EXCEPTION, *ACTIONS.values()),
        *(TEST, EVENT, FIELDS, PROFILE, OVERRIDE, RETIRED, SUPPRESSION),
    )
}


def order(shape: Shape) -> tuple[str, ...]:
    """The keys of a mapping, those of this version, in the order in which a tidy file has them."""
    return tuple(key.name for key in shape.keys if key.since <= VERSION)
