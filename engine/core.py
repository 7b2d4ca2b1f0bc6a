"""The deterministic core: one batch of messages in, their outcomes out, state kept between.

`Core.apply` is a pure state machine: no wall clock, no randomness but seeded generators inside the models, no I/O, no
dependence on where batches are cut. The order of the stages stands in `apply`, and nowhere else. Journal, files,
brokers, metrics and people are shells around it (engine/runner.py).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from config.decisions import CHALLENGE_FAILED, CHALLENGE_PASSED
from config.errors import StateError
from config.schema import RATING, Column, Schema
from config.settings import ONLINE, REQUIRED
from engine.admission import NEVER, Admission, Admitted
from engine.batch import (
    ACTIVITY,
    COMMAND,
    DEAD,
    KIND_NAMES,
    TRANSACTION,
    Batch,
)
from engine.cases import PAID
from engine.control import PREFIX
from engine.decision import Decider
from engine.decoding.decoder import Decoder
from engine.drifting import Drifting
from engine.entities import Attributes, Dictionaries
from engine.exchange import Exchange
from engine.fits.schedule import Refits
from engine.gate import STREAM
from engine.governing import Governing
from engine.kernels.taking import keep_decided
from engine.labels import Labels
from engine.links import Links
from engine.lists import Lists
from engine.maturity import Maturity
from engine.meanings import Meanings
from engine.outcomes import Streams, dead_letter_line
from engine.proposals import Proposals
from engine.quality import flaws
from engine.ratings import DAY_US
from engine.remembered import Remembered
from engine.scoring import Scoring
from engine.setup import Setup
from engine.signing import DOOR
from engine.state import Arrays, prefixed, under
from engine.verdict import NO_DECISION, Decided, DecideInputs
from engine.warming import Warming
from engine.windows.plan import Windows
from engine.windows.rows import rows_of
from engine.windows.shape import Shape
from models.protocol import SCORE
from rules.columns import Frame, Layout
from rules.ruleset import Judgement, Ruleset
from rules.titles import shown_number
from rules.tree import Type
from rules.types import column_type

I8: TypeAlias = NDArray[np.int64]
Answer: TypeAlias = dict[str, object]
Lap: TypeAlias = Callable[[str], None]

FORMAT = 6  # of saved state; raised when its meaning changes
NO_DECISIONS = np.empty(0, np.int8)
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
class Compiled:
    """What a core is built from beside its state; may be pickled (engine/reload/parcel.py)."""

    setup: Setup
    layout: Layout
    ruleset: Ruleset
    scoring: Scoring
    meanings: Meanings


class Core:
    """The state machine. `load` of what `save` gave, then the same messages, gives the same bytes again."""

    def __init__(
        self, setup: Setup, *, required: bool = True, shapes: Sequence[Shape] = ()
    ) -> None:
        """Build the core of a configuration, at the beginning of its stream.

        required : False in rule tests
        shapes   : of the windows of each stratum, where they are to fit those of another core (engine/carry.py)
        """
        for _ in self._assemble(setup, None, shapes, required=required):
            pass

    @classmethod
    def in_steps(
        cls, compiled: Compiled, shapes: Sequence[Shape], *, required: bool = True
    ) -> "Iterator[Core | None]":
        """Build the very core that `cls(compiled.setup, ...)` would be, a few ms a step; the last step gives it."""
        core = cls.__new__(cls)
        for _ in core._assemble(  # noqa: SLF001
            compiled.setup, compiled, shapes, required=required
        ):
            yield None
        yield core

    def compiled(self) -> Compiled:
        """What another process builds this very core from; of one that has taken nothing in."""
        for rule in self.setup.pack.rules:
            self.meanings.rule(rule)
        for name in self.setup.pack.features:
            self.meanings.column(name)
        for name in self.setup.pack.lists:
            self.meanings.list_content(name)
        return Compiled(self.setup, self.layout, self.ruleset, self.scoring, self.meanings)

    def _assemble(
        self,
        setup: Setup,
        compiled: Compiled | None,
        shapes: Sequence[Shape],
        *,
        required: bool,
    ) -> Iterator[None]:
        self.setup, self.required = setup, required
        settings, pack, schema = setup.configuration.settings, setup.pack, setup.schema
        self.config = setup.sha256
        self.layout = Layout() if compiled is None else compiled.layout
        if compiled is not None:
            self.ruleset = compiled.ruleset
        else:
            self.ruleset = Ruleset.compile(pack, schema, self.layout, setup.derived)
        known = _Columns(schema, pack.currency)
        Decider.add_columns(pack, known, self.layout, settings.decisions)
        for name in setup.configuration.models.reads:
            if name in known.columns:
                self.layout.add(name, known.type_of(name))
        if compiled is not None:
            self.scoring = compiled.scoring
        else:
            self.scoring = Scoring(
                setup.configuration.models, self.layout, learns=settings.learning == ONLINE
            )
        yield
        self.dictionaries = Dictionaries()
        self.ruleset.refresh(self.dictionaries)
        self.attributes = Attributes(schema, self.layout)
        self.decoder = Decoder(
            schema,
            self.layout,
            self.dictionaries,
            pack.currency,
            rates=setup.rates,
            message_bytes_max=settings.message_bytes_max,
            required=required,
        )
        yield
        self.meanings = Meanings(setup) if compiled is None else compiled.meanings
        self.windows = []
        for k, stratum in enumerate(self.ruleset.strata):
            windows = Windows(
                stratum.windows,
                self.layout,
                setup.lateness_us,
                pack.timezone,
                namer=self.meanings.spec,
                n_filters=stratum.n_filters,
                in_steps=True,
            )
            yield from windows.lay_out(shapes[k] if k < len(shapes) else ())
            self.windows.append(windows)
        yield
        self.warming = Warming(setup, self.ruleset)
        self.links = Links(pack, self.layout, self.dictionaries)
        yield
        self.exchange = Exchange(
            schema, self.layout, pack.currency, setup.rates, self.ruleset.conversions
        )
        self.remembered = Remembered(
            settings.remember_us,
            n_number=len(self.links.all.number),
            n_code=len(self.links.all.code),
            n_input=len(self.scoring.inputs),
            n_text=len(self.links.texts),
            n_score=len(self.scoring.names),
        )
        self.labels = Labels(
            self.remembered,
            settings.assume_genuine_after_us,
            setup.configuration.models.maturity_us,
        )
        self.maturity = Maturity(setup.configuration.models.maturity_us)
        self.refits = Refits(
            setup.configuration.models,
            self.scoring,
            self.remembered,
            settings.assume_genuine_after_us,
        )
        self.admission = Admission(
            self.remembered,
            lateness_us=setup.lateness_us,
            jump_us_max=settings.jump_max_us,
            future_us_max=settings.future_max_us,
        )
        yield
        needs_approval = settings.approval == REQUIRED
        kept_us = max(settings.remember_us, pack.retention_us + setup.lateness_us)
        self.lists = Lists(pack, kept_us)
        self.proposals = Proposals(self.config, needs_approval=needs_approval)
        self.governing = Governing(
            setup.configuration.models,
            self.scoring,
            setup.configuration.people,
            self.maturity,
            needs_approval=needs_approval,
            learns=settings.learning == ONLINE,
        )
        self.decider = Decider(
            pack,
            self.ruleset,
            settings.decisions,
            self.layout,
            self.dictionaries,
            effect=settings.effect,
            proposals=self.proposals,
            lists=self.lists,
            people=setup.configuration.people,
            governing=self.governing,
        )
        self.drifting = Drifting(
            setup.configuration.models.drift,
            self.scoring.inputs,
            self.scoring.names,
            settings.warm_after_us,
            self._in_words,
        )
        self._reads_rating = RATING in self.layout
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
        self.drifting.look_ahead(batch.event_time_us[batch.kind != DEAD])
        cuts = sorted({*self.lists.cuts(batch), *self.governing.cuts(batch)})
        if not cuts and not self._is_due_in(batch):
            return self._apply(batch, arrival_us, lap, forced)
        parts, first = [], 0
        while first < batch.n:
            last = self._end_of_part(batch, arrival_us, first, cuts)
            arrived = None if arrival_us is None else arrival_us[first:last]
            parts.append((first, self._apply(batch.part(first, last), arrived, lap, forced)))
            first = last
        return joined(batch, parts) if len(parts) > 1 else parts[0][1]

    @property
    def _next_due_us(self) -> int:
        """Core time at which the core changes what rows from there on are judged by: ratings, a fit, the champion."""
        models_us = min(self.refits.next_us, self.governing.next_us, self.drifting.next_us)
        return min(models_us, self.decider.ratings.next_us) if self._reads_rating else models_us

    def _is_due_in(self, batch: Batch) -> bool:
        """Whether that may happen within a batch."""
        return batch.n > 0 and int(batch.event_time_us.max()) >= self._next_due_us

    def _end_of_part(
        self, batch: Batch, arrival_us: I8 | None, first: int, cuts: Sequence[int]
    ) -> int:
        """Row before which a batch is cut next: where lists change, or where core time may reach what is due.

        Which row brings it there is known only when it is admitted (it may be a repeat, or refused), so each that
        could stands at the beginning of a part; the first that does settles it for the rows behind.
        """
        last = next((cut for cut in cuts if cut > first), batch.n)
        if self._is_due_in(batch):
            rows = slice(first + 1, last)
            time_us = batch.event_time_us[rows]
            may = (time_us >= self._next_due_us) & (batch.kind[rows] != DEAD)
            if arrival_us is not None:
                may &= time_us <= arrival_us[rows] + self.admission.future_us_max
            if len(candidates := np.flatnonzero(may)):
                last = first + 1 + int(candidates[0])
        return last

    def _apply(
        self, batch: Batch, arrival_us: I8 | None, lap: Lap, forced: Mapping[str, float] | None
    ) -> Outcome:
        """Take a decoded batch in which no list changes."""
        core_before_us = self.core_us
        admitted = self._take_in(batch, arrival_us, lap)
        notices = self._refit(batch, admitted)
        frame = batch.frame
        inputs = self.scoring.read(frame)
        lesson = self.labels.read(batch, admitted, inputs, core_before_us)
        scores = self.scoring.process(frame, lesson)
        self.governing.hear(self.scoring.heard, self.scoring.lessons)
        applied = np.flatnonzero(lesson.action == SCORE)
        self.drifting.observe(inputs, self.scoring.kept, applied, admitted.core_us)
        self.drifting.hear(lesson.fates, self.scoring.heard.said)
        for name, value in (forced or {}).items():
            if name in self.layout:
                frame.column(name)[:] = value
        lap("models")
        self._rate(batch, admitted, forced or {})
        judgement = self.ruleset.judge(frame)
        others = np.flatnonzero((batch.kind != TRANSACTION) & (batch.kind != ACTIVITY))
        if len(others):
            judgement.truth[:, others] = 0
        self.warming.keep_in_shadow(judgement, admitted.core_us)
        lap("rules")
        decided = self.decider.decide(self._to_decide(batch, admitted, judgement, scores))
        lap("decide")
        if self.decider.owed:
            self.decider.pay(sum(position.startswith(PAID) for position in batch.position))
        self._remember(batch, admitted, decided, inputs)
        verdicts = self.maturity.see(
            admitted, decided.decision, self.remembered, lesson.first, lesson.verdict
        )
        if verdicts:
            decided.counts["verdicts"] = verdicts
        outcome = self._outcome(batch, admitted, judgement, decided, scores, notices)
        lap("remember")
        return outcome

    def _refit(self, batch: Batch, admitted: Admitted) -> Sequence[bytes]:
        """Close and take fits that are due at the first row; return the alerts about them."""
        out = Streams()
        if batch.n:
            now_us = int(admitted.core_us[0])
            self.refits.step(now_us, batch.seq0, out)
            self.governing.step(now_us, batch.seq0, out)
            self.drifting.step(now_us, batch.seq0, self.scoring.champion, out)
            last_us = int(admitted.core_us[-1])
            assert last_us < self.refits.next_us or last_us == NEVER, (
                "a batch is cut where it is due"
            )
        return out.alerts

    def _rate(self, batch: Batch, admitted: Admitted, forced: Mapping[str, float]) -> None:
        """Give the rating of its customer to every event, as it stands on the UTC day of its core time."""
        if not self._reads_rating or not batch.n or RATING in forced:
            return
        first_us, last_us = int(admitted.core_us[0]), int(admitted.core_us[-1])
        is_one_day = first_us // DAY_US == last_us // DAY_US
        assert is_one_day or first_us < 0, "a batch is cut where the day changes"
        ratings, frame = self.decider.ratings, batch.frame
        ratings.roll(first_us)
        codes = frame.code[self.layout["customer"].row]
        ratings.fill(
            frame.number[self.layout[RATING].row],
            codes,
            (batch.kind == TRANSACTION) | (batch.kind == ACTIVITY),
        )

    def absorb(
        self, lines: Sequence[bytes], positions: Sequence[str], arrival_us: I8 | None = None
    ) -> None:
        """Take a batch in as `apply` does, as far as windows, attributes and remembered transactions go.

        Models learn nothing, rules are not asked, nothing is decided: what a core does whose windows are wanted
        (engine/backfill.py).
        """
        batch = self.decoder.decode(lines, positions, self.seq)
        for first, last in pairwise((0, *self.lists.cuts(batch), batch.n)):
            part = batch if last - first == batch.n else batch.part(first, last)
            arrived = None if arrival_us is None else arrival_us[first:last]
            admitted = self._take_in(part, arrived, lambda _stage: None)
            self._remember(part, admitted, None, self.scoring.read(part.frame))

    def _take_in(self, batch: Batch, arrival_us: I8 | None, lap: Lap) -> Admitted:
        """Everything from decoding up to the windows: admit, fill, derive, compute features."""
        self.ruleset.change_lists(self.lists.settle(batch.seq0, self.core_us))
        self.seq += batch.n
        admitted = self.admission.admit(batch, arrival_us)
        lap("admit")
        frame, memory = batch.frame, self.remembered
        self.attributes.fill(batch)
        self.links.take_texts(frame, admitted, memory)
        self.ruleset.refresh(self.dictionaries)
        self.links.set_original_facts(batch, admitted, memory)
        self.exchange.convert_updates(batch, admitted, memory)
        self.ruleset.derive(frame)
        self.exchange.fill(batch, admitted, memory)
        self.exchange.guard(batch)
        self.links.take(frame, admitted, memory)
        self.exchange.release(batch, admitted)
        lap("attributes")
        self._compute_features(batch, admitted)
        lap("windows")
        return admitted

    def _compute_features(self, batch: Batch, admitted: Admitted) -> None:
        """Fill every feature column, stratum after stratum: a `where` reads features of earlier strata only."""
        frame = batch.frame
        rows, domain = rows_of(batch, admitted, self.remembered)
        links, memory = self.links, self.remembered
        links.compute(self.ruleset, -1, batch, admitted, memory)
        for k, windows in enumerate(self.windows):
            filters = self.ruleset.filters(k, frame, domain)
            windows.apply(frame, filters, rows)
            links.take_windows(frame, admitted, memory)
            links.compute(self.ruleset, k, batch, admitted, memory)

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
            seq=np.arange(batch.seq0, batch.seq0 + batch.n),
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
            normal=self.scoring.normal,
            config=self.config,
            unscorable=unscorable,
            duplicates=duplicates,
            commands={i: _order(batch, i) for i in batch.objects if batch.kind[i] == COMMAND},
            ends=self._ends(batch),
            partial=self.setup.partial,
        )

    def _ends(self, batch: Batch) -> dict[int, tuple[str, str]]:
        """The activities that end a challenge, by row: which transaction is meant, and their type."""
        rows = [row for row in batch.originals if batch.kind[row] == ACTIVITY]
        if not rows or "type" not in self.layout:
            return {}
        place, found = self.layout["type"], {}
        types = self.dictionaries[place.dictionary]
        ending = {types.find(type_): type_ for type_ in (CHALLENGE_PASSED, CHALLENGE_FAILED)}
        for row in rows:
            code = int(batch.frame.code[place.row, row])
            if code >= 0 and code in ending:
                found[row] = (batch.originals[row], ending[code])
        return found

    def _remember(
        self,
        batch: Batch,
        admitted: Admitted,
        decided: Decided | None,
        inputs: NDArray[np.float32],
    ) -> None:
        """Keep what labels, updates and repeats will ask for."""
        memory, arrays = self.remembered, self.remembered.arrays
        self.links.keep(batch, admitted, memory)
        self.exchange.keep(batch, admitted, memory)
        keep_decided(
            admitted.new,
            admitted.entry,
            memory.base,
            inputs,
            self.scoring.kept if decided is not None else self.scoring.kept[:0],
            decided.decision if decided is not None else NO_DECISIONS,
            arrays["input"],
            arrays["score"],
            arrays["decision"],
        )
        if self.seq // FORGET_EVERY != batch.seq0 // FORGET_EVERY:
            self.remembered.forget(self.core_us)

    def _outcome(
        self,
        batch: Batch,
        admitted: Admitted,
        judgement: Judgement,
        decided: Decided,
        scores: dict[str, NDArray[np.float64]],
        notices: Sequence[bytes],
    ) -> Outcome:
        """Put streams and counts together; `notices` are alerts that come before all others."""
        kinds = np.bincount(batch.kind, minlength=len(KIND_NAMES)).tolist()
        messages = {"all": batch.n}
        messages |= {name: n for name, n in zip(KIND_NAMES, kinds, strict=True) if n}
        if n_late := int(np.count_nonzero(admitted.late)):
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
        counts |= flaws(batch, admitted, self.remembered)
        streams = {**decided.streams, "dead_letters": b"".join(lines)}
        if notices:
            streams["alerts"] = b"".join(notices) + streams["alerts"]
            alerts = counts.setdefault("alerts", {})
            alerts["operational"] = alerts.get("operational", 0) + len(notices)
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

    def _in_words(self, name: str, value: float) -> str:
        """A value of a model input, for people."""
        place = self.layout[name]
        return shown_number(value, place.type, "", self.setup.pack.timezone)

    def warm_up(self) -> None:
        """Load or compile every kernel now, and derive what is derived from state, so that no message waits for it.

        State stays as it is.
        """
        self.apply([], [])
        self.drifting.warm_up()
        self.governing.comparison.warm_up()

    def save(self, *, copied: bool = True) -> Arrays:
        """All state, as arrays by name; the same bytes however the stream was cut into batches.

        copied : False: large arrays are views of the state, for whoever is done with them before the next batch
        """
        state = {"core": np.array([FORMAT, self.seq, self.core_us], np.int64)}
        state |= prefixed("dictionaries", self.dictionaries.save(copied=copied))
        state |= prefixed("attributes", self.attributes.save())
        state |= prefixed("decode", self.decoder.save())
        state |= prefixed("remembered", self.remembered.save(self.core_us, copied=copied))
        state |= prefixed("models", self.scoring.save())
        state |= prefixed("refits", self.refits.save())
        state |= prefixed("governing", self.governing.save())
        state |= prefixed("drifting", self.drifting.save())
        state |= prefixed("maturity", self.maturity.save())
        state |= prefixed("decide", self.decider.save())
        state |= prefixed("proposals", self.proposals.save())
        state |= prefixed("lists", self.lists.save())
        state |= prefixed("warming", self.warming.save())
        for k, windows in enumerate(self.windows):
            state |= prefixed(f"windows/{k}", windows.save(copied=copied))
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
        with ThreadPoolExecutor(1) as beside:  # it copies memory while texts are made here
            waiting = [
                beside.submit(windows.load, under(state, f"windows/{k}"))
                for k, windows in enumerate(self.windows)
            ]
            self._load_rest(state)
            for each in waiting:
                each.result()
        self.ruleset.refresh(self.dictionaries)

    def _load_rest(self, state: Mapping[str, NDArray[Any]]) -> None:
        """All but the windows."""
        self.dictionaries.load(under(state, "dictionaries"))
        self.attributes.load(under(state, "attributes"))
        self.decoder.load(under(state, "decode"))
        self.remembered.load(under(state, "remembered"))
        self.scoring.load(under(state, "models"))
        self.refits.load(under(state, "refits"))
        self.governing.load(under(state, "governing"))
        self.drifting.load(under(state, "drifting"))
        self.maturity.load(under(state, "maturity"))
        self.decider.load(under(state, "decide"))
        self.proposals.load(under(state, "proposals"))
        self.ruleset.change_lists(self.lists.load(under(state, "lists")))
        self.warming.load(under(state, "warming"))


def _order(batch: Batch, row: int) -> Mapping[str, Any]:
    """A command with what the door says of it; one that did not come through the door says so."""
    if batch.position[row].startswith(PREFIX):
        return batch.objects[row]
    return {**batch.objects[row], DOOR: {"channel": STREAM}}


def joined(batch: Batch, parts: Sequence[tuple[int, Outcome]]) -> Outcome:
    """One outcome of the outcomes of the parts of `batch`, each with its first row."""
    streams: dict[str, list[bytes]] = {}
    counts: dict[str, dict[str, int]] = {}
    answers: dict[int, Answer] = {}
    for first, part in parts:
        batch.put_back(first, part.batch)
        answers |= {first + row: answer for row, answer in part.answers.items()}
        for name, lines in part.streams.items():
            streams.setdefault(name, []).append(lines)
        for group, names in part.counts.items():
            total = counts.setdefault(group, {})
            for name, n in names.items():
                total[name] = total.get(name, 0) + n
    outcomes = [part for _, part in parts]
    shares = [part.judgement.in_rollout for part in outcomes]
    in_rollout = None
    if any(share is not None for share in shares):
        shapes = [part.judgement.truth.shape for part in outcomes]
        pairs = zip(shares, shapes, strict=True)
        in_rollout = np.hstack([np.ones(s, np.bool_) if i is None else i for i, s in pairs])
    judgement = Judgement(
        np.hstack([part.judgement.truth for part in outcomes]),
        np.hstack([part.judgement.excepted for part in outcomes]),
        np.hstack([part.judgement.score for part in outcomes]),
        in_rollout,
    )
    whole = {name: b"".join(lines) for name, lines in streams.items()}
    decided = Decided(
        np.concatenate([part.decided.decision for part in outcomes]),
        {name: whole[name] for part in outcomes for name in part.decided.streams},
        answers,
        [m._replace(row=first + m.row) for first, part in parts for m in part.decided.matches],
        {group: counts[group] for part in outcomes for group in part.decided.counts},
    )
    return Outcome(
        whole,
        answers,
        counts,
        batch,
        batch.frame,
        judgement,
        Admitted.joined([(first, part.admitted) for first, part in parts]),
        decided,
        _scores_joined(outcomes),
    )


def _scores_joined(outcomes: Sequence[Outcome]) -> dict[str, NDArray[np.float64]]:
    """Scores of all parts; where the champion changes between two, each of the models has its own in some of them."""
    names = dict.fromkeys(name for part in outcomes for name in part.scores)
    parts = [(part.scores, np.full(part.batch.n, np.nan)) for part in outcomes]
    return {name: np.concatenate([has.get(name, none) for has, none in parts]) for name in names}


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
