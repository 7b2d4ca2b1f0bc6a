"""Back-fill: what a new feature would be had it always been there, derived from the journal.

A side core of the new configuration takes the records that came before in again, as far as windows go (`Core.absorb`:
no models, no rules, no decisions), and what the carried core lacks is taken from it: the event logs that started empty,
attributes and columns of remembered transactions that nobody kept before. Afterwards every feature is what it would be
in an engine that had the new configuration from the beginning.

    ask      what the side core must know of the carried one: shapes, dictionaries, what is missing
    fill     the side core's way through the journal; in a helper process, `python -m engine.backfill`
    splice   take over what it found
    reconfigure   carry and all three: what a start does at a configuration record, and whoever derives it again
    refill   the same for a core that is warming already, at a second record of its configuration: of what came in
             while the engine ran, whose past is derived beside it (engine/reload/filling.py)

The side core begins with the journal, or, where that no longer reaches back, with the oldest snapshot that can be used,
carried into the new configuration: then new features are warming from the core time of that snapshot on.

Codes agree because the side core begins with the dictionaries of the carried one: it gives known texts their codes, and
new ones (of columns that nobody read before) the next, and `splice` gives these to the carried core. Which records
count as transactions must not differ: a schema that refuses what was accepted, or another `jump_max`, makes two
histories, and `splice` says so and leaves everything as it is: warming. What an erased record held is gone: features
that are filled in do without it.

Lists hold at every record what they held then. The side core decides nothing, so it is told what rules and people have
added (engine/lists.py), each order with its seq, and counts it from there on. What the files of the lists say is what
the new configuration says. A feature that reaches back beyond what the lists remember is warming from then on.
"""

import io
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from config.errors import StateError, WeirError
from engine.admission import NEVER
from engine.carry import Carried, Missing, carry, logs_of
from engine.core import Core
from engine.durable import snapshots
from engine.durable.disk import Disk, RealDisk
from engine.durable.encrypted_disk import beneath
from engine.entities import Dictionaries
from engine.lists import Order
from engine.ports import Recorded
from engine.remembered import UNSCORABLE
from engine.setup import Setup
from engine.state import Arrays, prefixed, under
from engine.texts import Texts, load_texts, save_texts
from engine.warming import NOTHING
from engine.windows.shape import Shape, decode, encode
from rules.lists import compared
from rules.tree import TEXT

if TYPE_CHECKING:
    from engine.durable.rederive import Rederivation

I8: TypeAlias = NDArray[np.int64]

ROWS_MAX: Final = 4_096
COLUMNS: Final = ("number", "code", "input")
LATER: Final = (
    "later"  # `fills` of a configuration record: what is missing is derived while the engine runs
)


def ask(core: Core, carried: Carried, *, with_texts: bool = True) -> Arrays:
    """What `fill` must know of `core`, whose next record is the first that it need not take in.

    with_texts : False if the dictionaries come by another way
    """
    question = {"core": np.array([core.seq, core.core_us], np.int64)}
    question["missing"] = _packed(carried.missing)
    question["logs"] = _packed(carried.empty_logs)
    question["fresh"] = _packed(carried.fresh)
    question["orders"] = _packed(core.lists.orders())
    question["forgotten"] = _packed(core.lists.forgotten_us)
    for k, windows in enumerate(core.windows):
        question |= prefixed(f"windows/{k}", encode(windows.shape))
    if with_texts:
        question |= prefixed("dictionaries", core.dictionaries.save())
    return question


def fill(
    question: Mapping[str, NDArray[Any]],
    setup: Setup,
    records: Iterable[Recorded],
    start: Core | None = None,
) -> Arrays:
    """Take `records` in under `setup`, and return what the core that asked is missing.

    records : all before the configuration record, from `start.seq` on; from seq 0 if there is no `start`
    start   : a core as it stood before them; it must not be used afterwards

    Raises `StateError` where the records do not lead up to the core that asked.
    """
    side = Side(question, setup, start)
    for record in records:
        side.take(record)
    return side.answer(int(question["core"][0]), _unpacked(question["forgotten"], dict[str, int]))


class Side:
    """A core of the new configuration on its way through the records that came before.

    core : the state before the record `core.seq`, which is the next to be taken
    """

    def __init__(
        self, question: Mapping[str, NDArray[Any]], setup: Setup, start: Core | None = None
    ) -> None:
        self._question = question
        self.core = _side_core(question, setup, start)
        self._first_seq = self.core.seq
        self._erased: list[int] = []

    def take(self, record: Recorded) -> None:
        """Take the next run of records in."""
        side = self.core
        if record.config is not None:
            side.seq += 1
            return
        assert record.seq0 == side.seq, (record.seq0, side.seq)
        messages = record.messages
        self._erased += [record.seq0 + row for row in sorted(record.erased)]
        for first in range(0, len(messages), ROWS_MAX):
            rows = slice(first, first + ROWS_MAX)
            arrival_us = messages.arrival_us
            side.absorb(
                messages.lines[rows],
                messages.positions[rows],
                None if arrival_us is None else arrival_us[rows],
            )

    def answer(self, seq: int, forgotten_us: Mapping[str, int]) -> Arrays:
        """What the core that asked is missing, when its next record is `seq`; `StateError` if records are missing.

        The arrays may be views of the state of this core, which ends here. forgotten_us: of the lists of that core.
        """
        if self.core.seq != seq - 1:
            raise StateError(
                f"the journal leads to seq {self.core.seq}, the configuration record has {seq - 1}",
                why="features would miss what lies between",
                fix="restore the journal from a backup, or go on with features warming",
            )
        answer = _answer(self._question, self.core, seq, forgotten_us)
        answer["first_seq"] = np.array([self._first_seq], np.int64)
        return answer | {"erased": np.array(self._erased, np.int64)}


def splice(core: Core, carried: Carried, answer: Mapping[str, NDArray[Any]]) -> Carried:
    """Take over what `fill` found into the core that asked; return `carried` as it is now.

    Raises `StateError`, the core being as before, if the side core saw another history.
    """
    seq, core_us = answer["core"].tolist()
    memory = core.remembered
    own, theirs = _common(memory.arrays["seq"][: len(memory)], answer)
    standing = memory.arrays["standing"][own], answer["standing"][theirs]
    agrees = (
        (seq, core_us) == (core.seq, core.core_us)
        and np.array_equal(memory.arrays["seq"][own], answer["seq"][theirs])
        and np.array_equal(standing[0] == UNSCORABLE, standing[1] == UNSCORABLE)
    )
    if not agrees:
        raise StateError(
            "under the new configuration other records would have counted as transactions",
            why="what refers to them (labels, updates, repeats) would mean others than were decided",
            fix="go on with features warming, or start the new configuration in another folder",
        )
    _take_texts(core.dictionaries, answer)
    core.ruleset.refresh(core.dictionaries)
    for k, name in carried.empty_logs:
        core.windows[k].logs[name].load(under(answer, f"windows/{k}/{name}"))
    core.attributes.take(under(answer, "attributes"))
    memory.arrays["standing"][own] = standing[1]  # another lateness takes other rows for late
    for name in COLUMNS:
        places = np.array(getattr(carried.missing, name), np.int64)
        memory.arrays[name][own[:, None], places] = answer[name][theirs]
    if carried.missing.text:
        texts = _unpacked(answer["texts"], list[list[str | None]])
        memory.take_texts(own, carried.missing.text, [texts[k] for k in theirs.tolist()])
    since = {n: t for n, t in core.warming.since_us.items() if n not in carried.fresh}
    core.warming.begin(since | _unpacked(answer["since_us"], dict[str, int]))
    core.warming.unfilled = NOTHING
    filled_from = int(answer["first_seq"][0])
    return replace(carried, empty_logs=(), fresh=(), missing=Missing(), filled_from=filled_from)


def reconfigure(
    disk: Disk,
    root: Path,
    old: Core,
    setup: Setup,
    *,
    key: bytes | None = None,
    told: Mapping[str, object] | None = None,
) -> tuple[Core, Carried]:
    """Carry `old` into `setup` (engine/carry.py) and fill what that leaves missing from the journal of `root`.

    told : `Carried.evidence` of the configuration record when it is derived again; then the same is done, or
           `StateError` says why it cannot be. None the first time: then what cannot be filled is warming, and a note
           says why.

    The first time, everything before the record must be readable in the journal, and `setup` in the configuration
    store; the record comes afterwards, with the evidence in it. Take a snapshot soon: until there is one, every
    restart derives the past again.
    """
    if told is not None and "filled_at" in told:
        return old, refill(disk, root, old, key=key, told=told)
    core, carried = carry(old, setup)
    if told is not None and told.get("fills") == LATER:
        return core, carried
    return core, _filled(disk, root, core, carried, key, told)


def refill(
    disk: Disk,
    root: Path,
    core: Core,
    *,
    key: bytes | None = None,
    told: Mapping[str, object] | None = None,
) -> Carried:
    """Fill from the journal what `core` is missing since it went over, at a record of its own configuration.

    told : `evidence_of` that record when it is derived again; None the first time
    """
    core.seq += 1
    return _filled(disk, root, core, waiting(core), key, told)


def waiting(core: Core) -> Carried:
    """What `core` is missing since it went over to its configuration."""
    unfilled, links = core.warming.unfilled, core.links

    def places(names: Sequence[str], wanted: Sequence[str]) -> tuple[int, ...]:
        return tuple(k for k, name in enumerate(names) if name in wanted)

    missing = Missing(
        attributes=unfilled.attributes,
        number=places(links.number_names, unfilled.number),
        code=places(links.code_names, unfilled.code),
        input=places(core.scoring.inputs, unfilled.input),
        text=places(links.text_names, unfilled.text),
    )
    logs, fresh = logs_of(core, unfilled.features)
    return Carried({}, {}, {}, 0, tuple(logs), fresh, missing)


def evidence_of(core: Core, asked: Carried, filled: Carried) -> dict[str, object]:
    """What the second record of a configuration says: from where to where, and what was filled, or why not."""
    return {
        "filled_from": filled.filled_from,
        "filled_at": core.seq - 1,
        "filled": list(asked.fresh) if filled.filled_from is not None else [],
        "warming": sorted(core.warming.since_us),
        "notes": list(filled.notes),
    }


def _filled(
    disk: Disk,
    root: Path,
    core: Core,
    carried: Carried,
    key: bytes | None,
    told: Mapping[str, object] | None,
) -> Carried:
    """Fill what is missing, or do without for good; when it is derived again, what the record says was done."""
    if told is not None:
        filled_from = told.get("filled_from")
        if filled_from is None:
            core.warming.unfilled = NOTHING
            return carried
        assert isinstance(filled_from, int), filled_from
        return back_fill(disk, root, core, carried, key=key, first_seq=filled_from)
    try:
        return back_fill(disk, root, core, carried, key=key)
    except StateError as error:
        core.warming.unfilled = NOTHING
        note = f"features are warming, for the past cannot be filled in: {error.what}"
        return replace(carried, notes=(*carried.notes, note))


def back_fill(
    disk: Disk,
    root: Path,
    core: Core,
    carried: Carried,
    *,
    key: bytes | None = None,
    first_seq: int = -1,
) -> Carried:
    """Fill what a carried core is missing from the journal of `root`, in a helper process.

    The configuration of `core` must be in the configuration store, and everything before its record in the journal.
    first_seq : where to begin; -1: as early as can be

    `disk` is there for the simulator: one that is not the machine's is read in this process. Raises `StateError` where
    it cannot be done; the core is then as before, and its new features are warming.
    """
    if not carried.empty_logs and carried.missing == Missing():
        core.warming.unfilled = NOTHING
        return carried
    question = ask(core, carried)
    if not isinstance(beneath(disk), RealDisk):
        return splice(core, carried, fill_from(disk, root, core.config, question, key, first_seq))
    told = {
        "root": str(root),
        "config": core.config,
        "key": key.hex() if key else "",
        "first_seq": first_seq,
    }
    done = subprocess.run(
        [sys.executable, "-m", "engine.backfill"],
        input=json.dumps(told).encode() + b"\n" + packed_arrays(question),
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        text = done.stdout.decode(errors="replace").strip()
        try:
            parts = json.loads(text)
        except ValueError:
            parts = [f"the helper process ended with {done.returncode}", "", text[-500:], ""]
        raise StateError(*parts)
    return splice(core, carried, unpacked_arrays(done.stdout))


def fill_from(
    disk: Disk,
    root: Path,
    config: str,
    question: Mapping[str, NDArray[Any]],
    key: bytes | None = None,
    first_seq: int = -1,
) -> Arrays:
    """`fill` from the journal of an output folder, from its beginning or else its oldest usable snapshot.

    first_seq : where to begin; -1: as early as can be
    """
    from engine.durable.rederive import Rederivation, blocks  # it comes here itself

    again = Rederivation(disk, root, key=key)
    seq, _ = question["core"].tolist()
    start = beginning(again, root, first_seq)
    records = again.journal.read(0 if start is None else start.seq, seq - 1)
    return fill(question, again.setup_of(config), blocks(records, ROWS_MAX), start)


def beginning(again: "Rederivation", root: Path, first_seq: int = -1) -> Core | None:
    """The core that a side core begins from; None for the beginning of the journal."""
    if again.journal.first_seq > 0 or first_seq > 0:
        return _oldest(again.disk, root, again, first_seq)
    return None


def main() -> int:
    """Answer the question on standard input; the helper process of `back_fill`."""
    told = json.loads(sys.stdin.buffer.readline())
    question = unpacked_arrays(sys.stdin.buffer.read())
    key = bytes.fromhex(told["key"]) if told["key"] else None
    try:
        answer = fill_from(
            RealDisk(), Path(told["root"]), told["config"], question, key, told["first_seq"]
        )
    except WeirError as error:
        print(json.dumps([error.what, error.where, error.why, error.fix]))
        return 1
    sys.stdout.buffer.write(packed_arrays(answer))
    return 0


# ------------------------------------------------------------ the side core


def _side_core(question: Mapping[str, NDArray[Any]], setup: Setup, start: Core | None) -> Core:
    """A core of the new configuration before the first record, with the codes of the core that asked."""
    shapes: list[Shape] = []
    while f"windows/{len(shapes)}/shape" in question:
        shapes.append(decode(question[f"windows/{len(shapes)}/shape"]))
    known = under(question, "dictionaries")
    if start is None:
        side = Core(setup, shapes=shapes)
    else:
        for held in start.dictionaries.all_kept():
            name, n = held.name, len(held)
            asked = under(known, name)
            if n and (not asked or Texts.of(asked)[:n] != held.texts[:]):
                raise StateError(
                    f"the dictionary `{name}` of the oldest snapshot gives other codes than the running engine",
                    why="its state would speak of other entities",
                    fix="go on with features warming",
                )
        seq = start.seq
        side, _ = carry(start, setup, shapes=shapes)
        side.seq = seq  # there is no record at this place
    side.dictionaries.load(under(question, "dictionaries"))
    side.ruleset.refresh(side.dictionaries)
    orders = _unpacked(question["orders"], list[Order])
    side.lists.expect(order for order in orders if order.row.seq >= side.seq)
    return side


def _answer(
    question: Mapping[str, NDArray[Any]], side: Core, seq: int, forgotten: Mapping[str, int]
) -> Arrays:
    """What the core that asked is missing, from a side core that has taken everything in."""
    missing: Missing = _unpacked(question["missing"], Missing)
    memory = side.remembered
    held = slice(0, len(memory))
    answer: Arrays = {
        "core": np.array([seq, side.core_us], np.int64),
        "seq": memory.arrays["seq"][held],
        "standing": memory.arrays["standing"][held],
    }
    for name in COLUMNS:
        answer[name] = memory.arrays[name][held][:, list(getattr(missing, name))]
    if missing.text:
        entries = range(memory.base, memory.end)
        texts = [[memory.texts(entry)[k] for k in missing.text] for entry in entries]
        answer["texts"] = _packed(texts)
    saved = side.attributes.save() if missing.attributes else {}
    answer |= prefixed("attributes", {n: saved[n] for n in missing.attributes if n in saved})
    for dictionary in side.dictionaries.all_kept():
        within = f"dictionaries/{dictionary.name}"
        known = len(question.get(f"{within}/end", ()))
        more = save_texts(dictionary.texts[known:])
        answer |= prefixed(within, {**more, "known": np.array([known])})
    for k, name in _unpacked(question["logs"], list[tuple[int, str]]):
        answer |= prefixed(f"windows/{k}/{name}", side.windows[k].logs[name].used())
    since = {}
    for name in _unpacked(question["fresh"], list[str]):
        since_us = max(side.warming.since_us.get(name, NEVER), side.warming.reads_ready_us(name))
        since_us = max([since_us, *(forgotten.get(of, NEVER) for of in _lists_read(side, name))])
        if since_us != NEVER:
            since[name] = since_us
    answer["since_us"] = _packed(since)
    return answer


def _lists_read(side: Core, name: str) -> set[str]:
    """The lists that a feature asks, and those that the features ask that it reads."""
    feature = side.setup.pack.features.get(name)
    if feature is None:
        return set()
    trees = [feature.expression]
    if feature.aggregate is not None:
        trees += [feature.aggregate.where, feature.aggregate.argument]
    read = [tree for tree in trees if tree is not None]
    columns = {column for tree in read for column in tree.columns()}
    asked = {of for tree in read for of in compared(tree)}
    return asked.union(*(_lists_read(side, column) for column in columns))


def _oldest(disk: Disk, root: Path, again: "Rederivation", first_seq: int) -> Core:
    """The core of the oldest snapshot from which the journal goes on; of that at `first_seq` if it is not -1."""
    reach = again.journal.first_seq
    numbers = [seq for seq in snapshots.numbers(disk, root) if seq >= reach]
    for seq in sorted(numbers) if first_seq < 0 else [first_seq]:
        try:
            found = snapshots.read(disk, root, seq)
            core = Core(again.setup_of(found.config))
            core.load(found.arrays)
        except StateError:
            continue
        return core
    raise StateError(
        f"the journal begins at seq {reach}, and no snapshot can be used"
        + (f" at seq {first_seq}" if first_seq >= 0 else " from there on"),
        str(root),
        why="what came before it was removed by `journal_keep`",
        fix="restore the snapshots of the folder from a backup, or start from a later one",
    )


def _take_texts(own: Dictionaries, answer: Mapping[str, NDArray[Any]]) -> None:
    """Give codes to texts that only the side core has met; `StateError`, all being as before, if its codes differ.

    Both begin with the dictionaries that the question held. Where the core that asked has gone on since, it may have
    met new texts itself: they have the same codes if the side core met no others before them.
    """
    found = under(answer, "dictionaries")
    more: dict[str, list[str]] = {}
    for name in dict.fromkeys([*own, *(key.rpartition("/")[0] for key in found)]):
        if name == TEXT:
            continue
        theirs = under(found, name)
        known = int(theirs["known"][0]) if theirs else 0
        texts = load_texts(theirs) if theirs else []
        mine = own.kept(name).texts[known:]
        if mine != texts[: len(mine)]:
            raise StateError(
                f"the records of the past bring texts of `{name}` that nobody had read before",
                why="the engine has given their codes to others meanwhile",
                fix="start the engine again: it then fills its features before it takes anything in",
            )
        more[name] = texts[len(mine) :]
    for name, texts in more.items():
        own.kept(name).encode(texts)


def _common(seq: NDArray[np.int64], answer: Mapping[str, NDArray[Any]]) -> tuple[I8, I8]:
    """Rows of transactions that both remember, in order of `seq`: ours and the side core's; the same, if all is well.

    Either may have forgotten older ones, and the side core has never seen what was erased.
    """
    known = answer["seq"]
    low = max(seq[:1].tolist() + known[:1].tolist(), default=0)
    own = np.flatnonzero((seq >= low) & ~np.isin(seq, answer["erased"]))
    return own, np.flatnonzero(known >= low)


def _packed(value: object) -> NDArray[Any]:
    return np.frombuffer(msgspec.json.encode(value), np.uint8).copy()


def _unpacked(array: NDArray[Any], kind: Any) -> Any:
    return msgspec.json.decode(array.tobytes(), type=kind)


def packed_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays as bytes, for a pipe."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def unpacked_arrays(raw: bytes) -> Arrays:
    """What `packed_arrays` gave."""
    with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


if __name__ == "__main__":
    sys.exit(main())
