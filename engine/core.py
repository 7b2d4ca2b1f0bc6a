"""The deterministic core: one batch of messages in, their outcomes out, state kept between.

`Core.apply` is a pure state machine: no wall clock, no randomness but seeded generators inside the models, no I/O, no
dependence on where batches are cut. The order of the stages stands in `apply`, and nowhere else. Journal, files,
brokers, metrics and people are shells around it (engine/runner.py).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from config.errors import StateError
from config.schema import Column, Schema
from engine.admission import NEVER, Admission, Admitted
from engine.batch import (
    ACTIVITY,
    AMEND,
    COMMAND,
    EVENT,
    KIND_NAMES,
    LABEL,
    PUT,
    READ,
    TRANSACTION,
    UPDATE,
    Batch,
)
from engine.decision import NO_DECISION, Decided, DecideInputs, Decider
from engine.decode import Decoder
from engine.entities import Attributes, Dictionaries
from engine.outcomes import dead_letter_line
from engine.remembered import APPLIED, FRAUD, GENUINE, NO_LABEL, WITHDRAWN, Remembered
from engine.scoring import Scoring
from engine.setup import Setup
from engine.state import Arrays, prefixed, under
from engine.windows.plan import Rows, Windows
from models.protocol import LEARN, PEEK, SCORE
from rules.columns import Frame, Layout
from rules.definitions import Pack
from rules.ruleset import Judgement, Ruleset
from rules.titles import shown_number
from rules.tree import TEXT, Type
from rules.types import column_type

I8: TypeAlias = NDArray[np.int64]
Answer: TypeAlias = dict[str, object]
Lap: TypeAlias = Callable[[str], None]

FORMAT = 1  # of saved state; raised when its meaning changes
AS_TRANSACTION, AS_ACTIVITY, AS_LABEL = (
    1,
    2,
    3,
)  # what a row is to the domain of a feature; 0 nothing
VERDICTS = {"genuine": GENUINE, "fraud": FRAUD, "withdrawn": WITHDRAWN}
FORGET_EVERY = 1 << 14  # records between two looks at what can be forgotten


@dataclass(slots=True)
class Outcome:
    """What follows from one batch.

    streams      : whole lines of each output, in order
    answers      : row -> answer to the command that stood there
    counts       : group -> name -> how many, for the summary and the metrics
    The rest are the facts behind, for those who look closer (rule tests, `--features`); nobody may write to them.
    """

    streams: dict[str, bytes]
    answers: dict[int, Answer]
    counts: dict[str, dict[str, int]]
    batch: Batch
    frame: Frame
    judgement: Judgement
    admitted: Admitted
    decided: Decided
    scores: dict[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class _Links:
    """Columns that labels and updates take over from their transaction: rows of the planes, and places in the store."""

    number: I8
    code: I8
    number_at: I8
    code_at: I8

    def of_features(self, names: Sequence[str], layout: Layout) -> "_Links":
        """Those of them that are features."""
        places = [layout[name] for name in names]
        number = np.isin(self.number, [p.row for p in places if not p.is_code])
        code = np.isin(self.code, [p.row for p in places if p.is_code])
        return _Links(
            self.number[number], self.code[code], self.number_at[number], self.code_at[code]
        )


class Core:
    """The state machine. `load` of what `save` gave, then the same messages, gives the same bytes again."""

    def __init__(self, setup: Setup, *, required: bool = True) -> None:
        """Build the core of a configuration, at the beginning of its stream; `required` is False in rule tests."""
        settings, pack, schema = setup.configuration.settings, setup.pack, setup.schema
        self.config = setup.sha256
        self.layout = Layout()
        self.ruleset = Ruleset.compile(pack, schema, self.layout, setup.derived)
        known = _Columns(schema, pack.currency)
        Decider.add_columns(pack, known, self.layout)
        for name in setup.configuration.models.inputs:
            if name in known.columns:
                self.layout.add(name, known.type_of(name))
        self.scoring = Scoring(setup.configuration.models, self.layout)
        self.dictionaries = Dictionaries()
        self.ruleset.refresh(self.dictionaries)
        self.attributes = Attributes(schema, self.layout)
        self.decoder = Decoder(
            schema,
            self.layout,
            self.dictionaries,
            pack.currency,
            message_bytes_max=settings.message_bytes_max,
            required=required,
        )
        self.windows = [
            Windows(stratum.windows, self.layout, setup.lateness_us)
            for stratum in self.ruleset.strata
        ]
        self._assume_after_us = settings.assume_genuine_after_us
        self._warm_us = _warm_from(setup, self.ruleset)
        self._links, self._text_links = _links(pack, self.layout)
        windowed = [name for name, f in pack.features.items() if f.aggregate is not None]
        computed = [name for name, f in pack.features.items() if f.expression is not None]
        self._window_links = self._links.of_features(windowed, self.layout)
        self._computed_links = self._links.of_features(computed, self.layout)
        self.remembered = Remembered(
            settings.remember_us,
            n_number=len(self._links.number),
            n_code=len(self._links.code),
            n_input=len(self.scoring.inputs),
            n_text=len(self._text_links),
        )
        self.admission = Admission(
            self.remembered,
            lateness_us=setup.lateness_us,
            jump_us_max=settings.jump_max_us,
            future_us_max=settings.future_max_us,
        )
        self.decider = Decider(
            pack,
            self.ruleset,
            settings.decisions,
            self.layout,
            self.dictionaries,
            effect=settings.effect,
        )
        self.seq = 0

    @property
    def core_us(self) -> int:
        """Core time: the newest accepted event time, microseconds UTC."""
        return self.admission.core_us

    def apply(
        self,
        lines: Sequence[bytes],
        positions: Sequence[str],
        arrival_us: I8 | None = None,
        *,
        lap: Lap = lambda _stage: None,
        forced: Mapping[str, float] | None = None,
    ) -> Outcome:
        """Take a batch of messages and return everything that follows from it.

        lines      : one message each, without the newline
        positions  : where each stands in its source, for people
        arrival_us : (n,) int64  when a live source took each in, microseconds UTC; None for a recording
        lap        : told the name of each stage when it is done, so that a shell may measure
        forced     : model columns of every row, in place of what the models say; for rule tests
        """
        batch = self.decoder.decode(lines, positions, self.seq)
        lap("decode")
        self.seq += batch.n
        core_before_us = self.core_us
        admitted = self.admission.admit(batch, arrival_us)
        lap("admit")
        frame = batch.frame
        self.attributes.fill(batch)
        self._link_texts(frame, admitted)
        self.ruleset.refresh(self.dictionaries)
        self._set_original_times(batch, admitted)
        self.ruleset.derive(frame)
        self._link_columns(frame, admitted, self._links)
        lap("attributes")
        self._compute_features(batch, admitted)
        lap("windows")
        inputs, scores = self._score(batch, admitted, core_before_us)
        for name, value in (forced or {}).items():
            if name in self.layout:
                frame.column(name)[:] = value
        lap("models")
        judgement = self.ruleset.judge(frame)
        judgement.truth[:, (batch.kind != TRANSACTION) & (batch.kind != ACTIVITY)] = 0
        self._keep_cool(judgement, admitted)
        lap("rules")
        decided = self.decider.decide(self._to_decide(batch, admitted, judgement, scores))
        lap("decide")
        self._remember(batch, admitted, decided, inputs)
        outcome = self._outcome(batch, admitted, judgement, decided, scores)
        lap("remember")
        return outcome

    def _compute_features(self, batch: Batch, admitted: Admitted) -> None:
        """Fill every feature column, stratum after stratum: a `where` reads features of earlier strata only."""
        kind, frame = batch.kind, batch.frame
        standing = self._standing(admitted)
        domain = np.zeros(batch.n, np.int8)
        domain[(kind == TRANSACTION) | (kind == UPDATE)] = AS_TRANSACTION
        domain[kind == ACTIVITY] = AS_ACTIVITY
        domain[kind == LABEL] = AS_LABEL
        action = np.zeros(batch.n, np.int8)
        happens = (kind == TRANSACTION) | (kind == ACTIVITY)
        action[happens] = EVENT
        action[happens & admitted.late] = READ
        action[(kind == LABEL) & (admitted.core_us != NEVER)] = PUT
        action[(kind == UPDATE) & (standing == APPLIED)] = AMEND
        time_us = batch.event_time_us.copy()
        at_core_time = (action == READ) | (action == PUT)
        time_us[at_core_time] = admitted.core_us[at_core_time]
        original_seq = np.full(batch.n, -1, np.int64)
        updates = np.flatnonzero(action == AMEND)
        if len(updates):
            rows = self.remembered.rows(admitted.entry[updates])
            original_seq[updates] = self.remembered.arrays["seq"][rows]
            time_us[updates] = self.remembered.arrays["time_us"][rows]
        facts = Rows(batch.seq0 + np.arange(batch.n), time_us, action, original_seq)
        self._compute_expressions(-1, batch, admitted)
        for k, windows in enumerate(self.windows):
            filters = self.ruleset.filters(k, frame, domain)
            windows.apply(frame, filters, facts)
            self._link_columns(frame, admitted, self._window_links)
            self._compute_expressions(k, batch, admitted)

    def _compute_expressions(self, stratum: int, batch: Batch, admitted: Admitted) -> None:
        """Compute the features that are expressions: of updates from present values, of labels none of their own.

        An update is the transaction as it is now, so its expressions follow its amount; a label only points at one, and
        its time is not the transaction's.
        """
        frame, links = batch.frame, self._computed_links
        self.ruleset.expressions(stratum, frame)
        if not admitted.links or not (len(links.number) or len(links.code)):
            return
        labels = np.array(admitted.links, np.int64)
        labels = labels[batch.kind[labels] == LABEL]
        if len(labels):
            frame.number[links.number[:, None], labels] = np.nan
            frame.code[links.code[:, None], labels] = -1
            self._link_columns(frame, admitted, links, labels)

    def _set_original_times(self, batch: Batch, admitted: Admitted) -> None:
        """Let conditions and arguments read the time of the transaction in the rows of its updates."""
        updates = np.array(admitted.links, np.int64)
        updates = updates[batch.kind[updates] == UPDATE]
        if not len(updates) or "event_time" not in self.layout:
            return
        at = self.remembered.rows(admitted.entry[updates])
        batch.frame.column("event_time")[updates] = self.remembered.arrays["time_us"][at]

    def _standing(self, admitted: Admitted) -> NDArray[np.int8]:
        """Standing of each row's remembered transaction; -1 where there is none."""
        standing = np.full(len(admitted.entry), -1, np.int8)
        known = admitted.entry >= 0
        rows = self.remembered.rows(admitted.entry[known])
        standing[known] = self.remembered.arrays["standing"][rows]
        return standing

    def _link_columns(
        self, frame: Frame, admitted: Admitted, links: "_Links", of_rows: I8 | None = None
    ) -> None:
        """Give labels and updates the columns of the transaction they mean, where they have none of their own.

        of_rows : those of them that get columns; None for all
        """
        if not admitted.links or not (len(links.number) or len(links.code)):
            return
        rows = np.array(admitted.links, np.int64) if of_rows is None else of_rows
        stored = rows[admitted.linked_from[rows] < 0]
        if len(stored):
            at = self.remembered.rows(admitted.entry[stored])
            for k, column in zip(links.number_at, links.number, strict=True):
                values = frame.number[column]
                known = self.remembered.arrays["number"][at, k]
                values[stored] = np.where(np.isnan(values[stored]), known, values[stored])
            for k, column in zip(links.code_at, links.code, strict=True):
                codes = frame.code[column]
                known = self.remembered.arrays["code"][at, k]
                codes[stored] = np.where(codes[stored] < 0, known, codes[stored])
        for row in rows[
            admitted.linked_from[rows] >= 0
        ].tolist():  # in order: an update of an update
            source = admitted.linked_from[row]
            for column in links.number:
                if np.isnan(frame.number[column, row]):
                    frame.number[column, row] = frame.number[column, source]
            for column in links.code:
                if frame.code[column, row] < 0:
                    frame.code[column, row] = frame.code[column, source]

    def _link_texts(self, frame: Frame, admitted: Admitted) -> None:
        """The same for texts; before the tables of the rules learn which texts there are in this batch."""
        if not self._text_links:
            return
        texts = self.dictionaries[TEXT]
        for row in admitted.links:
            source = int(admitted.linked_from[row])
            kept = self.remembered.texts(int(admitted.entry[row])) if source < 0 else ()
            for k, column in enumerate(self._text_links):
                codes = frame.code[column]
                if codes[row] < 0 and source >= 0:
                    codes[row] = codes[source]
                elif codes[row] < 0 and (text := kept[k]) is not None:
                    codes[row] = texts.code(text)

    def _score(
        self, batch: Batch, admitted: Admitted, core_before_us: int
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float64]]]:
        """Run the models over the batch; return inputs and the columns for the record."""
        kind = batch.kind
        inputs = self.scoring.read(batch.frame)
        assumed = self._assume_genuine(batch, admitted, inputs, core_before_us)
        action = np.zeros(batch.n, np.int8)
        action[kind == TRANSACTION] = SCORE
        action[(kind == TRANSACTION) & admitted.late] = PEEK
        verdict = np.full(batch.n, -1, np.int8)
        labels = np.flatnonzero(kind == LABEL)
        if len(labels):
            verdict[labels] = [VERDICTS[_label(batch, i)] for i in labels.tolist()]
            standing = self._standing(admitted)
            teaches = labels[(standing[labels] == APPLIED) & (verdict[labels] <= FRAUD)]
            action[teaches] = LEARN
            here = admitted.decided_at[teaches]
            inputs[teaches[here >= 0]] = inputs[here[here >= 0]]
            stored = teaches[here < 0]
            at = self.remembered.rows(admitted.entry[stored])
            inputs[stored] = self.remembered.arrays["input"][at]
            rows = self.remembered.rows(admitted.entry[labels])
            self.remembered.arrays["label"][rows] = verdict[labels]
        return inputs, self.scoring.process(batch.frame, inputs, action, verdict, assumed)

    def _assume_genuine(
        self,
        batch: Batch,
        admitted: Admitted,
        inputs: NDArray[np.float32],
        core_before_us: int,
    ) -> tuple[I8, NDArray[np.float32]]:
        """Transactions without a label whose time is up: the row at which it is, and what the models saw of each."""
        none = np.empty(0, np.int64), inputs[:0]
        if self._assume_after_us is None or not batch.n:
            return none
        memory = self.remembered
        held = memory.arrays["core_us"][: len(memory)]
        reached = [core_before_us - self._assume_after_us, self.core_us - self._assume_after_us]
        start, stop = np.searchsorted(held, reached, side="right").tolist()
        at = np.arange(start, stop)
        unlabelled = memory.arrays["label"][at] == NO_LABEL
        at = at[unlabelled & (memory.arrays["standing"][at] == APPLIED)]
        due_us = held[at] + self._assume_after_us
        row = np.searchsorted(admitted.core_us, due_us, side="left")
        labels = (i for i in reversed(admitted.links) if batch.kind[i] == LABEL)
        first_label = {int(admitted.entry[i]): i for i in labels}
        in_time = [
            first_label.get(place + memory.base, batch.n) >= due
            for place, due in zip(at.tolist(), row.tolist(), strict=True)
        ]
        at, row = at[in_time], row[in_time]
        if not len(at):
            return none
        x = memory.arrays["input"][at]
        here = {int(admitted.entry[i]): i for i in admitted.new}
        for k, place in enumerate(at.tolist()):
            if (new := here.get(place + memory.base)) is not None:
                x[k] = inputs[new]
        return row, x

    def _keep_cool(self, judgement: Judgement, admitted: Admitted) -> None:
        """Put rules into shadow on rows before the history of their features is long enough."""
        if not len(admitted.core_us) or admitted.core_us[0] >= self._warm_us.max(initial=NEVER):
            return
        is_warm = admitted.core_us >= self._warm_us[:, None]
        inside = judgement.in_rollout
        judgement.in_rollout = is_warm if inside is None else inside & is_warm

    def _to_decide(
        self,
        batch: Batch,
        admitted: Admitted,
        judgement: Judgement,
        scores: dict[str, NDArray[np.float64]],
    ) -> DecideInputs:
        duplicates = {}
        for row, first_seq in admitted.first_seq.items():
            at = int(admitted.entry[row]) - self.remembered.base
            decision = int(self.remembered.arrays["decision"][at])
            duplicates[row] = (first_seq, decision if row in admitted.repeats else NO_DECISION)
        unscorable = {}
        for row, dead in batch.dead.items():
            if dead.answerable and admitted.entry[row] >= 0:
                record = batch.records[row]
                unscorable[row] = str(getattr(record, "type", "") or "")
        return DecideInputs(
            kind=batch.kind,
            seq=batch.seq0 + np.arange(batch.n),
            event_time_us=batch.event_time_us,
            core_us=admitted.core_us,
            late=admitted.late,
            foreign=batch.foreign,
            transaction_id=batch.transaction_id,
            account=batch.account,
            frame=batch.frame,
            judgement=judgement,
            models=scores,
            explain=self.scoring.explain,
            config=self.config,
            unscorable=unscorable,
            duplicates=duplicates,
            commands={i: batch.objects[i] for i in np.flatnonzero(batch.kind == COMMAND).tolist()},
        )

    def _remember(
        self,
        batch: Batch,
        admitted: Admitted,
        decided: Decided,
        inputs: NDArray[np.float32],
    ) -> None:
        """Keep what labels, updates and repeats will ask for."""
        arrays, frame = self.remembered.arrays, batch.frame
        new = np.array(admitted.new, np.int64)
        updates = np.array([i for i in admitted.links if batch.kind[i] == UPDATE], np.int64)
        for rows in (new, updates):
            at = self.remembered.rows(admitted.entry[rows])
            arrays["number"][at] = frame.number[self._links.number][:, rows].T
            arrays["code"][at] = frame.code[self._links.code][:, rows].T
            if self._text_links:
                texts: list[str | None] = [*self.dictionaries[TEXT].texts, None]  # -1 is missing
                for row in rows.tolist():
                    kept = tuple(texts[frame.code[column, row]] for column in self._text_links)
                    self.remembered.keep_texts(int(admitted.entry[row]), kept)
        at = self.remembered.rows(admitted.entry[new])
        arrays["input"][at] = inputs[new]
        answered = np.flatnonzero(decided.decision >= 0)
        at = self.remembered.rows(admitted.entry[answered])
        arrays["decision"][at] = decided.decision[answered]
        if self.seq // FORGET_EVERY != batch.seq0 // FORGET_EVERY:
            self.remembered.forget(self.core_us)

    def _outcome(
        self,
        batch: Batch,
        admitted: Admitted,
        judgement: Judgement,
        decided: Decided,
        scores: dict[str, NDArray[np.float64]],
    ) -> Outcome:
        """Put streams and counts together."""
        kinds = np.bincount(batch.kind, minlength=len(KIND_NAMES)).tolist()
        messages = {"all": batch.n}
        messages |= {name: n for name, n in zip(KIND_NAMES, kinds, strict=True) if n}
        if n_late := int(admitted.late.sum()):
            messages["late"] = n_late
        dead_letters: dict[str, int] = {}
        lines = []
        for row in sorted(batch.dead):
            dead = batch.dead[row]
            dead_letters[dead.reason] = dead_letters.get(dead.reason, 0) + 1
            lines.append(
                dead_letter_line(batch.seq0 + row, batch.position[row], dead, batch.lines[row])
            )
        counts = {"messages": messages, "dead_letters": dead_letters, **decided.counts}
        streams = {**decided.streams, "dead_letters": b"".join(lines)}
        return Outcome(
            streams,
            decided.answers,
            counts,
            batch,
            batch.frame,
            judgement,
            admitted,
            decided,
            scores,
        )

    def text_of(self, name: str, frame: Frame, row: int) -> str:
        """The value of a column in one row, for people."""
        place = self.layout[name]
        if not place.is_code:
            value = float(frame.number[place.row, row])
            return shown_number(value, place.type, "", self.ruleset.pack.timezone)
        code = int(frame.code[place.row, row])
        return self.dictionaries[place.dictionary].texts[code] if code >= 0 else "missing"

    def warm_up(self) -> None:
        """Load or compile every kernel now, so that no message waits for it; state stays as it is."""
        before = self.save()
        self.apply([], [])
        self.load(before)

    def save(self) -> Arrays:
        """All state, as arrays by name; the same bytes however the stream was cut into batches."""
        state = {"core": np.array([FORMAT, self.seq, self.core_us], np.int64)}
        state |= prefixed("dictionaries", self.dictionaries.save())
        state |= prefixed("attributes", self.attributes.save())
        state |= prefixed("decode", self.decoder.save())
        state |= prefixed("remembered", self.remembered.save(self.core_us))
        state |= prefixed("models", self.scoring.save())
        state |= prefixed("decide", self.decider.save())
        for k, windows in enumerate(self.windows):
            state |= prefixed(f"windows/{k}", windows.save())
        return state

    def load(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `save` gave; raise `StateError` if another configuration or format saved it."""
        saved_format, seq, core_us = state["core"].tolist()
        if saved_format != FORMAT:
            raise StateError(
                f"saved state has format {saved_format}, this version reads {FORMAT}",
                fix="go on with the version that saved it, or replay from the beginning",
            )
        self.seq, self.admission.core_us = seq, core_us
        self.dictionaries.load(under(state, "dictionaries"))
        self.attributes.load(under(state, "attributes"))
        self.decoder.load(under(state, "decode"))
        self.remembered.load(under(state, "remembered"))
        self.scoring.load(under(state, "models"))
        self.decider.load(under(state, "decide"))
        for k, windows in enumerate(self.windows):
            windows.load(under(state, f"windows/{k}"))
        self.ruleset.refresh(self.dictionaries)


def _warm_from(setup: Setup, ruleset: Ruleset) -> I8:
    """Core time from which each rule's features have their history; `NEVER` where it is complete from the start."""
    settings, features = setup.configuration.settings, setup.pack.features
    warm_us = np.full(len(ruleset.rules), NEVER, np.int64)
    if settings.history_from_us is None:
        return warm_us
    needed: dict[str, int] = {}

    def history_us(name: str) -> int:
        feature = features.get(name)
        if feature is None:
            return 0
        if name not in needed:
            own = 0
            if (aggregate := feature.aggregate) is not None:
                limit = feature.warm_after_us
                limit = settings.warm_after_us if limit is None else limit
                width_us = aggregate.window.width_us
                own = limit if width_us is None else min(width_us, limit)
            trees = [feature.expression]
            if aggregate is not None:
                trees += [aggregate.where, aggregate.argument]
            read = (column for tree in trees if tree is not None for column in tree.columns())
            needed[name] = max([own, *map(history_us, read)])
        return needed[name]

    for k, rule in enumerate(ruleset.rules):
        reads = (rule.when, rule.score, *(clause.when for clause in rule.exceptions))
        longest = max((history_us(name) for tree in reads for name in tree.columns()), default=0)
        warm_us[k] = settings.history_from_us + longest
    return warm_us


def _label(batch: Batch, row: int) -> str:
    record = batch.records[row]
    assert record is not None, "decode gives a label row its record"
    return str(record.label)


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns of a schema, with the types that rules give them."""

    schema: Schema
    currency: str

    @property
    def columns(self) -> Mapping[str, Column]:
        return self.schema.columns

    def type_of(self, name: str) -> Type:
        return column_type(self.schema.columns[name], self.currency)


def _links(pack: Pack, layout: Layout) -> tuple[_Links, tuple[int, ...]]:
    """What features of labels and of amended transactions read: keys, arguments and conditions.

    And what expressions among these read, for an update computes them again. Columns of texts come apart: rows of the
    code plane.
    """
    names: list[str] = []
    for feature in pack.features.values():
        aggregate = feature.aggregate
        if aggregate is not None:
            names += aggregate.keys
            names += aggregate.argument.columns() if aggregate.argument else ()
            names += aggregate.where.columns() if aggregate.where else ()
    for name in names:  # grows on the way
        read = pack.features.get(name)
        if read is not None and read.expression is not None:
            names += [other for other in read.expression.columns() if other not in names]
    own = {"event_time", "label", "source", "typology"}  # a label has its own, or none
    wanted = [name for name in dict.fromkeys(names) if name not in own and name in layout]
    texts = tuple(layout[name].row for name in wanted if layout[name].dictionary == TEXT)
    places = [layout[name] for name in wanted if layout[name].dictionary != TEXT]
    number = np.array([p.row for p in places if not p.is_code], np.int64)
    code = np.array([p.row for p in places if p.is_code], np.int64)
    return _Links(number, code, np.arange(len(number)), np.arange(len(code))), texts
