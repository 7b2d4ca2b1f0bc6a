"""The codes of findings: severity, and the page that `weir rules check --explain CODE` prints.

Codes are stable: a code never gets another meaning, and one that is no longer found stays unused.
"""

from typing import Final, NamedTuple


class Page(NamedTuple):
    """What a code means, why it matters, and what to do."""

    severity: str  # error, warn or info
    title: str
    text: str


PAGES: Final[dict[str, Page]] = {
    "WR001": Page(
        "error",
        "The file is not YAML",
        "Nothing of the file could be read. The most frequent causes are indentation, and a value with a colon, "
        "comma or bracket that needs quotes or a block after `|`.",
    ),
    "WR002": Page(
        "error",
        "A tab in the indentation",
        "YAML forbids tabs there. Indent with spaces.",
    ),
    "WR003": Page(
        "error",
        "The same key twice",
        "Only one of the two could count, and YAML readers disagree which. Remove or rename one.",
    ),
    "WR004": Page(
        "error",
        "Anchor, alias, tag or merge key",
        "A rule file reads as one text: nothing in it stands for something elsewhere. Write the value out; use "
        "macros, params or lists for what is shared.",
    ),
    "WR005": Page(
        "error",
        "A comment swallowed part of a condition",
        "In an unquoted value a blank followed by # begins a comment. Put the condition into a block after `|`.",
    ),
    "WR006": Page(
        "error",
        "A value that starts with a quote ends at the next quote",
        'YAML reads `when: "a" == b` as the text a followed by rubbish. Put the whole condition into a block '
        "after `|`.",
    ),
    "WR007": Page(
        "error",
        "Nothing to check",
        "The file is empty, or the pack has no rules. That is never reported as fine.",
    ),
    "WR008": Page(
        "error", "Several YAML documents in a file", "Only the first would be read. Split the file."
    ),
    "WR009": Page("error", "A file cannot be read", "It is missing, unreadable, or not UTF-8."),
    "WR020": Page(
        "error",
        "Unknown key",
        "The key means nothing here, so what stands under it would have no effect.",
    ),
    "WR021": Page("error", "Not one of the allowed words", "The message lists what is allowed."),
    "WR022": Page("error", "A key is missing", "The definition is not complete without it."),
    "WR023": Page(
        "error",
        "Not a valid id or name",
        "Rule and exception ids are capital letters, digits and hyphens (CARD-TEST-001), names of features, lists, "
        "macros, tables, params and lets small letters, digits and underscores.",
    ),
    "WR024": Page(
        "error", "Not a valid date or time", "Write 2026-03-02, or 2026-03-02T10:00:00Z."
    ),
    "WR025": Page(
        "error", "Not a valid duration", "Write whole numbers of units: 30m, 24h, 90d, 1h30m."
    ),
    "WR026": Page("error", "Not a valid number", "The message says which numbers are allowed."),
    "WR027": Page("error", "Not of the right shape", "A list, a mapping or a text is wanted here."),
    "WR028": Page(
        "error", "Not in this version", "The language will have it; this version does not."
    ),
    "WR029": Page(
        "error", "Unknown currency or time zone", "Currencies are ISO 4217, zones IANA names."
    ),
    "WR101": Page(
        "error",
        "Unknown field or feature",
        "No field of the schema, feature, macro or let has this name.",
    ),
    "WR102": Page("error", "Unknown macro, param or table", "Nothing of this kind has this name."),
    "WR103": Page("error", "Unknown list", "Lists are defined under `lists:`."),
    "WR104": Page(
        "error",
        "Defined in a circle",
        "A feature, macro or let needs its own value. Events are evaluated once, so there is no value to start from.",
    ),
    "WR105": Page(
        "error", "Two things with one name", "Names are shared by the whole pack. Rename one."
    ),
    "WR106": Page("error", "Unknown function", "The functions of the language are a closed set."),
    "WR107": Page(
        "error",
        "A feature reads a model",
        "Models read features, never the reverse, and what a feature holds must not change when a model is replaced.",
    ),
    "WR108": Page(
        "error",
        "A verdict is not known when a rule is decided",
        "Labels arrive later. A feature can look at them: its `where` names label.",
    ),
    "WR109": Page(
        "error", "Unknown reason", "Every reason code stands under `reasons:` with its sentence."
    ),
    "WR110": Page(
        "error",
        "A number with a comma",
        "Digits are grouped by underscores: 1_000. Decimals have a point.",
    ),
    "WR111": Page(
        "error", "Something does not fit here", "The expression cannot be read at this place."
    ),
    "WR112": Page(
        "error",
        "Chained comparison",
        "Write `amount between 5 and 9`, or two comparisons and `and`.",
    ),
    "WR113": Page(
        "error",
        "Not a list",
        'Lists of values stand in square brackets: in ["a", "b"], or in @name.',
    ),
    "WR114": Page("error", "Unknown operator", "The message says what to write instead."),
    "WR115": Page("error", "A text is not closed", "Texts stand in straight quotes on one line."),
    "WR116": Page("error", "Not a valid date, time or duration", "Write 2026-01-31, 22:30, 1h30m."),
    "WR117": Page(
        "error",
        "The expression is too large",
        "At most 4,096 characters, 200 parts and 40 levels as written, 2,000 parts with its macros put in place. "
        "Split it into features.",
    ),
    "WR118": Page(
        "error",
        "A value or bracket is missing",
        "Something was opened and not closed, or left out.",
    ),
    "WR119": Page(
        "error", "Not in this version", "The language will have it; this version does not."
    ),
    "WR120": Page("error", "Types do not fit", "The two sides cannot be compared or combined."),
    "WR121": Page(
        "error", "Ids of different kinds", "An account is never a device, whatever their letters."
    ),
    "WR122": Page(
        "error",
        "Currencies or decimals do not fit",
        "Amounts compare and add up in one currency only: fields and bare numbers are in the pack's, and "
        '`convert(amount, "USD")` is in dollars. An amount has at most as many decimals as its currency.',
    ),
    "WR123": Page(
        "error",
        "A value that the schema does not list",
        "The condition could never match. Correct the value, or add it to the schema.",
    ),
    "WR124": Page(
        "error", "Wrong arguments", "The message shows how the function or aggregate is called."
    ),
    "WR125": Page(
        "error",
        "Bounds in the wrong order",
        "`between` wants the lower one first; only times of day wrap.",
    ),
    "WR126": Page("error", "Bad template", "Holes are {expression} or {expression|format}."),
    "WR127": Page(
        "error",
        "The window does not fit the aggregate",
        "`over all` is for first and last seen. `until` belongs to durations: what a calendar window holds begins with "
        "the day, week or month of the event, and a lag could reach behind that beginning. `over last N events` looks "
        "at each of them, so N has a bound. Decayed aggregates have a half-life in place of a window.",
    ),
    "WR128": Page("error", "Not a condition", "Something that is true or false is wanted here."),
    "WR129": Page(
        "error", "Not a field", "Keys of features, dedup and rollout are id or category fields."
    ),
    "WR130": Page(
        "error",
        "A pattern that cannot be run",
        "Patterns have no look-around and no back references.",
    ),
    "WR131": Page("error", "Two constants", "The result is the same for every event."),
    "WR132": Page(
        "error",
        "An approximation of what is exact anyway",
        "`approx: 2%` lets count_distinct and quantile work on a sample of the events in the window, so that a busy "
        "key takes the place of some ten thousand events at most. 2% is the standard error: two distinct counts in "
        "three are within 2 % of the true one, 95 in 100 within 4 %; of a quantile it is the rank that is off (of the "
        "median by 2 in 100 events, of other levels by less). Counts up to 2,500 are exact (at 5%: up to 400). From "
        "0.5% to 10% can be asked for. With `until`, events younger than the lag are all kept. Everything else is "
        "exact at the cost of a counter.",
    ),
    "WR010": Page(
        "warn",
        "An allow that allows nothing",
        "The finding that the comment silences is not there, perhaps no longer. Left in, it would silence the "
        "next one of its kind that somebody makes on this line.",
    ),
    "WR011": Page(
        "warn",
        "An allow without a reason",
        "Whoever reads the rule next must know why the finding was accepted, and "
        "when it can be mended after all.",
    ),
    "WR012": Page(
        "warn",
        "An allow that cannot be",
        "The comment names no code, an unknown one, or that of an error. Errors cannot be allowed: the pack "
        "would not work.",
    ),
    "WR201": Page(
        "warn",
        "Always or never true",
        "No event can make this true, or none can make it anything else: bounds that exclude each other, a "
        "value that the schema does not allow, an event type that `on` does not name. A rule that never fires "
        "protects nobody, and looks as if it did.",
    ),
    "WR202": Page(
        "warn",
        "A condition that another one implies",
        "Whenever the other condition holds, this one does too, so it changes nothing. Mostly one of the two "
        "has a wrong bound.",
    ),
    "WR203": Page(
        "warn",
        "A rule that another one covers",
        "Each event on which this rule fires makes the other one fire too, which asks for the same actions "
        "and more. The copy costs time and alerts twice; mostly somebody changed one of them and forgot the "
        "other.",
    ),
    "WR204": Page(
        "warn",
        "A negation of what can be missing",
        'A field that is missing is neither equal nor unequal to anything: `country != "DE"` is undecided '
        "then, and an undecided rule does not fire. Leaving the field out would be a way around the rule. Say "
        'what is meant: `(country is missing or country != "DE")`, or `country is present and ...`.',
    ),
    "WR205": Page(
        "warn",
        "Asking whether something is missing that never is",
        "The schema demands the field on these event types, or the value is computed so that it is always "
        "there. The branch for its absence is dead, and readers believe that it can happen.",
    ),
    "WR206": Page(
        "warn",
        "Easily misread",
        "A calculated number is hardly ever exactly another one, because calculations round: compare with a "
        "range. And where `and` and `or` stand side by side, `and` binds closer, which half of all readers "
        "take the other way: write the brackets.",
    ),
    "WR207": Page(
        "warn",
        "A baseline that includes the attack",
        "An average, quantile, deviation or maximum that includes the event in question, or the burst it is "
        "compared with, is raised by the attack itself: the larger the fraud, the higher the bar. Let the "
        "window end before: `until 1d ago`, or leave the event out with `prior`.",
    ),
    "WR208": Page(
        "warn",
        "A count that counts more than it says",
        "Without `of transaction`, and without a `where` that says what is counted, logins and other "
        "activities with the same key count too. The name or an alert says payments, so somebody will read it "
        "as a number of payments.",
    ),
    "WR209": Page(
        "warn",
        "A missing field is a way around the rule",
        "The rule holds, declines, challenges or restricts, and cannot be decided without an id that comes "
        "from the other side, such as a device. Whoever leaves it out is not stopped. Say with `if_undecided` "
        "what shall happen then, or ask for `device is present` if other rules look at the rest.",
    ),
    "WR210": Page(
        "warn",
        "A divisor that can be 0",
        "A division by 0 has no value, and a comparison with it is not true. `refunds / purchases > 50%` says nothing "
        "of somebody with many refunds and no purchase at all, which is the worst case. Multiply instead: `refunds > "
        "50% * purchases`. Where the case without a divisor is not meant, say so: `purchases > 0 and ...`. A field "
        "that a message fills, such as a balance, is not reported, but the same holds: `amount / balance_before > "
        "80%` says nothing of an empty account, `amount > 80% * balance_before` does.",
    ),
    "WR211": Page(
        "warn",
        "A number of events compared with a percentage",
        "80% is 0.8, so `count > 80%` holds from the first event on. A share is a quotient: `declined_1h > 80% * "
        "attempts_1h`.",
    ),
    "WR301": Page(
        "warn",
        "Used nowhere",
        "Nobody reads it. An unused feature costs memory and time for every event, an unused param looks as "
        "if turning it did something.",
    ),
    "WR302": Page(
        "warn",
        "A list that was to be reviewed",
        "The day in `review_by` has passed. Lists of people and accounts grow old: somebody must look whether "
        "each row still holds.",
    ),
    "WR303": Page(
        "error",
        "An exception that has expired, or will soon",
        "An exception past its day does nothing: the rule acts on those it used to let pass. That is an "
        "error; in the last 14 days before it is a warning. Have it approved again, or take it out.",
    ),
    "WR304": Page(
        "warn",
        "An exception that matches everything",
        "The rule is there, is counted as protection, and never acts. Say what is special about those that "
        "may pass.",
    ),
    "WR305": Page(
        "warn",
        "A rule that does nothing",
        "It is over, or one of its exceptions lets every match pass. Set a later day, narrow the exception, "
        "or move the rule to `retired:`.",
    ),
    "WR401": Page(
        "info",
        "What a rule costs",
        "An estimate in nanoseconds an event: the operations of its condition, score and exceptions, each "
        "divided among the rules that share it. What its windows cost says `weir rules explain FEATURE`. "
        "Printed with --cost.",
    ),
    "WR402": Page(
        "info",
        "What the state of a feature takes",
        "An estimate of memory at the scale that `expected:` in weir.yaml names, divided among the features "
        "that share it. Printed with --cost.",
    ),
    "WR501": Page(
        "warn",
        "A rule without tests that tell",
        "A test that never sees the rule fire does not know whether it can; one that never sees it stay quiet "
        "does not know whether it fires on everything. Add one event of each kind, the quiet one nearly "
        "enough to fire.",
    ),
    "WR502": Page(
        "warn",
        "Test events out of order",
        "Events of a test come in the order in which they are written. One with an earlier time than another above it "
        "comes late, as late messages do: it finds windows that already hold what happened after it. Write events in "
        "the order of their times.",
    ),
    "WR306": Page(
        "error",
        "The rule can never run",
        "`on`, or an event of a test, names an event type that the schema does not know.",
    ),
    "WR307": Page(
        "warn",
        "A list whose rows are all over",
        "Each of its rows has a `valid_until` that has passed, so the list is as good as empty: a rule that looks for "
        "what is in it finds nothing, and one that leaves out what is in it acts on everybody. Bring in the rows that "
        "hold now, or take out what asks the list. What is added while the engine runs is not known here.",
    ),
    "WR310": Page(
        "error",
        "The window or key cannot work",
        "A window longer than the retention, a lag not shorter than its window, or a dedup or rollout key that can "
        "be missing while the rule fires.",
    ),
    "WR320": Page(
        "error", "A gap between decision bands", "Every score from 0 to 1000 needs a decision."
    ),
    "WR321": Page("error", "Decision bands overlap", "A score would have two decisions."),
    "WR322": Page(
        "error", "Too severe an action", "Only rules of severity high or critical freeze."
    ),
    "WR323": Page(
        "error",
        "A freeze without bounds",
        "A freeze says how long it lasts and how many an hour there may be, because a rule can be wrong.",
    ),
    "WR324": Page(
        "error", "A freeze that lasts too long", "Automation restricts for at most 72 hours."
    ),
    "WR325": Page(
        "error",
        "A rule does something else under the same version",
        "rules.lock says what each version of a rule does, and this body is another one. A decision names rule and "
        "version; if one version can mean two things, nobody can say later why it was decided so. Raise `version:` "
        "(of an override: the version of its pack), then run `weir rules lock`. Comments, names, descriptions, tests "
        "and the content of lists may change freely.",
    ),
    "WR326": Page(
        "error",
        "An override was written for another version of its rule",
        "The pack below has changed the rule since somebody looked at it. Compare the two bodies, decide whether the "
        "override still means what it should, and write the new version into `written_for:`.",
    ),
    "WR327": Page(
        "error",
        "Two overrides of one part of a rule",
        "Packs are read in no order, so only one of them can change a part. Keep one of the two.",
    ),
    "WR328": Page(
        "error",
        "A retired id is used again",
        "Old alerts and decisions name rules by id. If an id meant another rule later, they could not be read any "
        "more. Give the new rule an id that was never used.",
    ),
    "WR329": Page(
        "error",
        "There is no such rule",
        "An override changes a rule of a pack that its own pack extends; a suppression and `replaced_by` name a rule "
        "of the packs that run together.",
    ),
    "WR330": Page(
        "error",
        "The extended pack is not there",
        "`extends: core` means the pack called core: one of those named, else the folder core beside this one.",
    ),
    "WR331": Page(
        "error",
        "The extended pack has another version",
        "`core@^2.1` takes core from 2.1.0 up to, not including, 3.0.0: another first number may mean other features.",
    ),
    "WR332": Page(
        "error",
        "Packs extend each other in a circle",
        "None of them could be read before the others.",
    ),
    "WR333": Page(
        "error",
        "rules.lock cannot be used",
        "The file is generated: it is not YAML, holds something that `weir rules lock` does not write, or lacks the "
        "present version of a rule. Take it from version control again, or run `weir rules lock`.",
    ),
    "WR334": Page(
        "info",
        "The pack has no rules.lock",
        "Without it nobody notices that a rule changed under the same version. `weir rules lock` writes one.",
    ),
    "WR335": Page(
        "warn",
        "A suppression is over",
        "It does nothing any more, and makes it harder to see which are in force. Remove or renew it.",
    ),
    "WR340": Page(
        "error",
        "A row of a list is wrong",
        "Each row has a value in its first column; valid_from and valid_until are empty, a date (its midnight in the "
        "pack's zone) or a time with offset, valid_until later than valid_from. A row that is wrong is not left out in "
        "silence: somebody relies on it. Correct the row at the place shown, in the CSV file itself.",
    ),
    "WR341": Page(
        "error",
        "A title asks a list for a column that it has not",
        "`{@police_accounts.reference}` shows the column `reference` of the row that matched. The columns of a "
        "list are those of its file beside the value; rows that rules or people add at runtime have `source` and "
        "`reference`.",
    ),
    "WR342": Page(
        "error",
        "It is not clear which row of a list a title means",
        "`{@list.column}` shows the row for the field that the rule's own condition compares by `in @list`. Where the "
        "condition compares none, or several, say which: `{@list.column of counterparty}`.",
    ),
    "WR343": Page(
        "warn",
        "The same value twice in a list",
        "One of the two rows says nothing, and mostly somebody meant another value: whoever takes the value out later "
        "finds the first and leaves the second. Rows that hold at different times, or say something else in another "
        "column, are no repetition.",
    ),
    "WR601": Page(
        "warn",
        "A feature is partial in a cluster",
        "Messages are distributed by the account (or the customer: `key` under `cluster` in weir.yaml), and each "
        "partition is decided by one engine. Of a device, a merchant or a counterparty that engine sees the events of "
        "its own partition only, so the feature is too small, or missing. A worker refuses such packs unless "
        "`partial: accept` is set; then every decision names the keys under `partial`. Fields whose values never stand "
        "in two partitions can be named under `local`. Found with --cluster.",
    ),
    "WR602": Page(
        "warn",
        "A rule reads what is partial in a cluster",
        "It compares a feature that one partition sees a part of, so it may stay quiet where an engine that sees "
        "everything would fire, and the other way round. Found with --cluster.",
    ),
    "WR603": Page(
        "info",
        "An action that ends at the border of a partition",
        "A row that a rule adds to a list, and a restriction of something that is not distributed by, hold for the "
        "decisions of the partition in which the rule fired. Core banking receives the command all the same. To have a "
        "row hold everywhere, send it as a command to every partition. Found with --cluster.",
    ),
}


def severity(code: str) -> str:
    return PAGES[code].severity
