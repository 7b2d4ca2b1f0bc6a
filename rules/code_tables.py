"""Questions about texts as tables over dictionary codes: answered once per distinct text, not once per event.

Ids, categories and texts reach the interpreter as dictionary codes. Every question about them - equal to a constant,
in a list, matches a pattern, its length, a row of a look-up table, its lower case - is a table over the codes of one
dictionary. `Tables` owns all tables of a rule set, next to its constants, in three flat arrays, and extends them when
a dictionary has grown. A list whose rows hold for a time only has a second answer: the times at which each of its
texts holds, which the interpreter looks up for the few rows that ask about one of these texts. Nothing here knows
expressions (rules/compile.py) or batches (rules/ruleset.py).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rules.definitions import ListDefinition, ListRow
from rules.lists import BY_TIME, Listed
from rules.texts import BATCH_LOCAL, OWN, Answer, Asked, DictionaryLike, question, recased

I1: TypeAlias = NDArray[np.int8]
I8: TypeAlias = NDArray[np.int64]
I4: TypeAlias = NDArray[np.int32]
F8: TypeAlias = NDArray[np.float64]

_ROOM_MIN: Final = 64  # codes for which a new table has room
_MANY: Final = (
    4_096  # new texts from which on those that matter are looked for instead of asking about each
)
_COPIED_MAX: Final = 100_000  # answers that are copied in one step


class _OwnDictionary:
    """Texts that stand in rules, or are made by rules, but in no field."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._codes: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.texts)

    def code(self, text: str) -> int:
        code = self._codes.setdefault(text, len(self.texts))
        if code == len(self.texts):
            self.texts.append(text)
        return code

    def find(self, text: str) -> int:
        return self._codes.get(text, -1)


def _after(cases: Sequence[str], answer: Answer) -> Answer:
    if not cases:
        return answer
    return lambda text: answer(recased(text, cases))


@dataclass(slots=True)
class _Block:
    """Rows of numbers in `reals`, behind how many there are; `ints` says at `at` where that stands."""

    at: int
    width: int
    rows: F8
    n: int = 0
    room: int = 0

    def append(self, rows: Sequence[Sequence[float]] | F8) -> None:
        if not len(rows):
            return
        if self.n + len(rows) > len(self.rows):
            grown = np.empty((2 * (self.n + len(rows)), self.width))
            grown[: self.n] = self.rows[: self.n]
            self.rows = grown
        self.rows[self.n : self.n + len(rows)] = rows
        self.n += len(rows)

    def put(self, found: Mapping[int, Sequence[Sequence[float]]]) -> None:
        """Replace the rows that begin with each of some keys; rows stand in the order of their keys."""
        if not found:
            return
        held, keys = self.rows[: self.n], np.array(sorted(found), np.float64)
        places = np.minimum(np.searchsorted(keys, held[:, 0]), len(keys) - 1)
        kept = held[keys[places] != held[:, 0]]
        new = np.array([row for key in sorted(found) for row in found[key]])
        new = new.reshape(-1, self.width)
        self.rows = np.insert(kept, np.searchsorted(kept[:, 0], new[:, 0]), new, axis=0)
        self.n = len(self.rows)


@dataclass(slots=True)
class _Table:
    """One table: where `ints` says it begins, what it says of a text, and of none (`missing`).

    asked  : everything that the answers follow from, but for the content of a list
    target : of a code table: the dictionary of its answers
    listed : of a question about a list: the list, and when its texts hold that hold at some times only: code, from,
             until (not inside), by code and time
    copied : answers that stand here since `copy_ahead`, though `filled` does not count them yet
    changes : what `n_changes` of the list was that they were copied from
    """

    plane: str  # "flags", "reals" or "ints"
    handle: int
    answer: Answer
    missing: float
    asked: tuple[Any, ...]
    cases: tuple[str, ...] = ()
    target: str | None = None
    listed: Listed | None = None
    times: _Block | None = None
    filled: int = 0
    copied: int = 0
    changes: int = 0


@dataclass(slots=True)
class _Watched:
    """A dictionary and the tables over its codes: how many codes all of them know, for how many there is room."""

    name: str
    tables: list[_Table] = field(default_factory=list)
    dictionary: DictionaryLike | None = None
    texts: Sequence[str] = ()  # of the dictionary; another object when it was loaded or begun anew
    filled: int = 0
    room: int = _ROOM_MIN

    def begin(self) -> None:
        """Forget what is filled in."""
        self.filled = 0
        for table in self.tables:
            table.filled = 0


class Tables:
    """Constants, operand lists and code tables of a rule set, as the three arrays that the interpreter reads.

    where : (6,) int64  address and length of each

    Ask for places while compiling, `seal` once, `refresh` whenever dictionaries may have grown. The same question over
    the same dictionary is one table. `adopt` takes over what the tables before a reload have answered already, `change`
    rows that are added to lists while the engine runs.
    """

    def __init__(self, lists: Mapping[str, ListDefinition]) -> None:
        self.lists = {name: Listed(of) for name, of in lists.items()}
        self._definitions = lists
        self._ints: list[int] = []
        self._reals: list[float] = []
        self._constants: dict[tuple[str, ...], int] = {}
        self._texts: dict[tuple[str, str], int] = {}  # (dictionary, text) -> place of its code
        self._known: dict[tuple[Any, ...], _Table] = {}
        self._watched: dict[str, _Watched] = {}
        self._numbers: dict[str, _Block] = {}  # of lists of numbers: low, high, from, until
        self._blocks: list[_Block] = []
        self._tests: dict[str, list[tuple[I4, int, Sequence[int]]]] = {}
        self.own = _OwnDictionary()
        self.ints: I4 = np.zeros(1, np.int32)
        self.reals: F8 = np.zeros(1)
        self.flags: I1 = np.zeros(1, np.int8)
        self.where: I8 = np.zeros(6, np.int64)  # stays where it is: programs know its address
        self._point()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Come from another process, where the arrays stood elsewhere."""
        vars(self).update(state)
        self._point()

    def _point(self) -> None:
        arrays = (self.ints, self.reals, self.flags)
        self.where[0::2] = [array.ctypes.data for array in arrays]
        self.where[1::2] = [len(array) for array in arrays]

    def constants(self, *values: float) -> int:
        """Return the place in `reals` from which `values` stand."""
        key = tuple(map(float.hex, map(float, values)))  # -0.0 and 0.0 are two constants
        at = self._constants.get(key)
        if at is None:
            at = len(self._reals)
            self._constants[key] = at
            self._reals += values
        return at

    def whole(self, values: Sequence[int]) -> int:
        """Return the place in `ints` from which `values` stand."""
        self._ints += values
        return len(self._ints) - len(values)

    def text(self, text: str, dictionary: str) -> int:
        """Return the place in `ints` where the code of a constant text will stand; it is added if unknown."""
        key = (dictionary, text)
        if key not in self._texts:
            self._texts[key] = self.whole([-1])
            self._watch(dictionary)
        return self._texts[key]

    def flag(
        self, dictionary: str, cases: Sequence[str], kind: str, value: Asked, missing: int = -1
    ) -> int:
        """Return the handle of a truth table."""
        return self._add("flags", dictionary, cases, kind, value, missing).handle

    def listed(
        self, dictionary: str, cases: Sequence[str], name: str, time_row: int
    ) -> tuple[int, int]:
        """Return the handle of a table about a list, and the place in `ints` of the time row and where its times begin.

        The answers are those of `Listed.says`.
        """
        table = self._add("flags", dictionary, cases, "in", f"@{name}", -1)
        if table.times is None:
            table.times = self._block(3, time_row)
        return table.handle, table.times.at - 1

    def numbers(self, name: str, time_row: int) -> int:
        """Return the place in `ints` of the time row and where the ranges of a list of numbers begin."""
        if name not in self._numbers:
            self._numbers[name] = self._block(4, time_row)
            self._numbers[name].append(self.lists[name].ranges())
        return self._numbers[name].at - 1

    def _block(self, width: int, time_row: int) -> _Block:
        block = _Block(self.whole([time_row, 0]) + 1, width, np.empty((0, width)))
        self._blocks.append(block)
        return block

    def when_dated(self, name: str, code: I4, place: int, instruction: Sequence[int]) -> None:
        """Ask that an instruction of a program be replaced once the list has rows that hold for a time only."""
        assert not self.lists[name].is_dated, name
        self._tests.setdefault(name, []).append((code, place, instruction))

    def real(
        self, dictionary: str, cases: Sequence[str], kind: str, value: Asked, missing: float
    ) -> int:
        """Return the handle of a number table."""
        return self._add("reals", dictionary, cases, kind, value, missing).handle

    def code(self, dictionary: str, cases: Sequence[str], target: str) -> int:
        """Return the handle of a table from codes of one dictionary to codes of another, `cases` applied."""
        self._watch(target)
        return self._add("ints", dictionary, cases, "text", None, -1, target).handle

    def _watch(self, dictionary: str) -> _Watched:
        return self._watched.setdefault(dictionary, _Watched(dictionary))

    def _add(
        self,
        plane: str,
        dictionary: str,
        cases: Sequence[str],
        kind: str,
        value: Asked,
        missing: float,
        target: str | None = None,
    ) -> _Table:
        key = (plane, dictionary, tuple(cases), kind, value, repr(missing), target)
        if key not in self._known:
            of = None
            if kind == "in" and isinstance(value, str):
                of = self.lists[value.removeprefix("@")]
            answer = of.says if of is not None else question(kind, value, self._definitions)
            table = _Table(
                plane,
                self.whole([0]),
                _after(cases, answer),
                missing,
                key,
                tuple(cases),
                target,
                of,
            )
            self._known[key] = table
            self._watch(dictionary).tables.append(table)
        return self._known[key]

    def seal(self) -> None:
        """Lay out the arrays; no table or constant may be added later."""
        self._lay_out()

    def answers(self, handle: int, codes: I4) -> I1:
        """Look up the codes in a truth table, outside the interpreter."""
        found: I1 = self.flags[self.ints[handle] + 1 + codes]
        return found

    def texts(self, dictionary: str) -> Sequence[str]:
        """Texts of a watched dictionary at the last refresh."""
        return self._watched[dictionary].texts

    def watch(self, dictionary: str) -> None:
        """Ask that `texts` know a dictionary."""
        self._watch(dictionary)

    # While the engine runs

    def refresh(self, dictionaries: Mapping[str, DictionaryLike]) -> None:
        """Fill in the codes that are new since the last call; costs next to nothing when there are none.

        Call it once after compiling, before anything is encoded, and after every encode: constants that rules may
        write into columns are added to their dictionaries by the first call.
        """
        self._follow(dictionaries)
        grew = True
        while grew:  # a table of lower cases may add texts to a dictionary that other tables cover
            grew = False
            for watched in self._watched.values():
                n = len(watched.texts)
                if n != watched.filled and watched.tables:
                    self._fill(watched, n)
                    grew = True

    def copy_ahead(self, old: "Tables") -> Iterator[None]:
        """Do what takes long of the next `adopt(old, ...)`, a step of some 100,000 answers at a time.

        The answers of `old` may grow and change meanwhile, and no dictionary is touched: which code a text of the new
        rules gets must follow from where `adopt` stands among the messages.
        """
        for watched in self._watched.values():
            theirs = old._watched.get(watched.name)  # noqa: SLF001
            if theirs is not None and watched.name not in (OWN, BATCH_LOCAL):
                n = len(theirs.texts)
                watched.room = max(watched.room, n + n // 4)
        self._lay_out()
        yield
        n_copied, compared = 0, set[Listed]()
        for watched in self._watched.values():
            if watched.name == BATCH_LOCAL:  # its codes mean other texts in each batch
                continue
            theirs = old._watched.get(watched.name)  # noqa: SLF001
            for table, before in _alike(watched, theirs):
                if table.listed is not None and before.listed is not None:
                    table.changes = before.listed.n_changes
                    if table.listed not in compared:
                        compared.add(table.listed)
                        yield from table.listed.compare_ahead(before.listed)
                while table.copied < min(before.filled, watched.room):
                    n = min(table.copied + _COPIED_MAX, before.filled, watched.room)
                    self._copy(table, old, before, n)
                    n_copied += n - table.copied + 1_000  # a table costs as much as that
                    table.copied = n
                    if n_copied > _COPIED_MAX:
                        n_copied = 0
                        yield

    def adopt(self, old: "Tables", dictionaries: Mapping[str, DictionaryLike]) -> None:
        """Take over what `old` has answered about the same dictionaries, before the first `refresh` over them.

        A list with other content costs what differs, a question that is new all texts of its dictionary.
        """
        self._follow(dictionaries)
        pairs: list[tuple[_Watched, _Table, _Table]] = []
        for watched in self._watched.values():
            theirs = old._watched.get(watched.name)  # noqa: SLF001
            if theirs is None or theirs.texts is not watched.texts:
                continue
            pairs += [(watched, *alike) for alike in _alike(watched, theirs)]
        differ: dict[Listed, set[str]] = {}
        for watched, table, before in pairs:
            changed: set[str] = set()
            if table.listed is not None and before.listed is not None:
                if table.listed not in differ:
                    differ[table.listed] = table.listed.changed(before.listed)
                changed = differ[table.listed]
                if table.changes != before.listed.n_changes:
                    table.copied = 0
            if table.cases and changed:
                continue
            if before.filled > table.copied:
                self._copy(table, old, before, before.filled)
            table.filled = before.filled
            if table.times is not None and before.times is not None:
                table.times.n = 0
                table.times.append(before.times.rows[: before.times.n])
                self._write(table.times)
            if changed:
                self._answer_again(watched, table, changed)

    def change(self, name: str, added: Mapping[str, Sequence[ListRow]]) -> None:
        """Say which rows of a list are added for each of some values now; see `Listed.change`."""
        listed = self.lists[name]
        if not listed.is_dated:
            for code, place, instruction in self._tests.pop(name, ()):
                code[place] = instruction
        listed.change(added)
        for watched in self._watched.values():
            for table in watched.tables:
                if table.listed is listed and watched.dictionary is not None:
                    texts = self._texts_for(watched, table, added)
                    self._answer_again(watched, table, texts)
        block = self._numbers.get(name)
        if block is not None:
            block.n = 0
            block.append(listed.ranges())
            self._write(block)

    def _texts_for(
        self, watched: _Watched, table: _Table, values: Mapping[str, object]
    ) -> Iterable[str]:
        """The texts that are the same as one of `values` to a table."""
        if not table.cases:
            return values
        return [t for t in watched.texts[: table.filled] if recased(t, table.cases) in values]

    def _answer_again(self, watched: _Watched, table: _Table, texts: Iterable[str]) -> None:
        assert watched.dictionary is not None
        find, plane = watched.dictionary.find, self._plane(table)
        first = int(self.ints[table.handle]) + 1
        times: dict[int, list[tuple[float, float, float]]] = {}
        for text in texts:
            code = find(text)
            if 0 <= code < table.filled:
                plane[first + code] = table.answer(text)
                if table.listed is not None:
                    times[code] = _times(table.listed, code, recased(text, table.cases))
        if table.times is not None and (table.times.n or any(times.values())):
            table.times.put(times)
            self._write(table.times)

    def _copy(self, table: _Table, old: "Tables", before: _Table, n: int) -> None:
        """Take over the first `n` answers that a table of the same question has given, but for those copied ahead."""
        theirs = int(old.ints[before.handle]) + 1
        own = int(self.ints[table.handle]) + 1
        first = table.copied
        self._plane(table)[own + first : own + n] = old._plane(before)[theirs + first : theirs + n]  # noqa: SLF001

    def _follow(self, dictionaries: Mapping[str, DictionaryLike]) -> None:
        """Note dictionaries that are others than before, and how far all have grown."""
        grown = False
        for watched in self._watched.values():
            dictionary = self.own if watched.name == OWN else dictionaries[watched.name]
            if dictionary.texts is not watched.texts or watched.name == BATCH_LOCAL:
                watched.dictionary, watched.texts = dictionary, dictionary.texts
                self._begin_anew(watched)
            grown |= self._outgrown(watched)
        if grown:
            self._lay_out()

    def _outgrown(self, watched: _Watched) -> bool:
        """Whether a dictionary needs more room than there is; it gets it at the next lay-out."""
        n = len(watched.texts)
        if n <= watched.room or not watched.tables:
            return False
        watched.room = max(2 * watched.room, n + n // 4)
        return True

    def _begin_anew(self, watched: _Watched) -> None:
        """Forget what was filled in for one dictionary, and look up the constants that must stand in it."""
        assert watched.dictionary is not None
        watched.begin()
        for (name, text), at in self._texts.items():
            if name == watched.name:
                self._ints[at] = self.ints[at] = watched.dictionary.code(text)
        for other in self._watched.values():
            for table in other.tables:
                if table.target == watched.name:
                    table.filled = other.filled = 0

    def _fill(self, watched: _Watched, n: int) -> None:
        """Extend the tables over one dictionary to its first `n` codes."""
        if n < watched.filled:
            watched.begin()
        if self._outgrown(watched):
            self._lay_out()
        news: dict[int, Sequence[str]] = {}
        for table in watched.tables:
            first = table.filled
            if first not in news:
                news[first] = watched.texts[first:n]
            self._extend(watched, table, news[first])
        watched.filled = n

    def _extend(self, watched: _Watched, table: _Table, new: Sequence[str]) -> None:
        """Answer for the next texts of a dictionary."""
        first = table.filled
        begin = int(self.ints[table.handle]) + 1 + first
        plane = self._plane(table)[begin : begin + len(new)]
        if table.times is not None and first == 0:
            table.times.n = 0
        if table.target is not None:
            code = self._target(table.target).code
            plane[:] = [code(str(table.answer(text))) for text in new]
            table.filled += len(new)
            return
        few = self._few(table) if len(new) > _MANY else None
        if few is None:
            plane[:] = [table.answer(text) for text in new]
        else:
            self._answer_few(watched, table, plane, few)
        table.filled += len(new)  # before the times, which may need another lay-out
        if table.listed is not None and table.times is not None and table.listed.is_dated:
            rows = [
                row
                for k in np.flatnonzero(plane == BY_TIME).tolist()
                for row in _times(table.listed, first + k, recased(new[k], table.cases))
            ]
            if rows or first == 0:
                table.times.append(rows)
                self._write(table.times)

    def _few(self, table: _Table) -> Iterable[str] | None:
        """The texts whose answer can differ from that to a text nobody has named; None where they cannot be listed."""
        _, _, cases, kind, value, *_ = table.asked
        if table.listed is not None:
            return None if cases or table.listed.has_ranges else table.listed.texts
        if cases:
            return None
        if kind == "==":
            return (value,)
        if kind == "lookup":
            return [key for key, _ in value[0]]
        return value if kind == "in" else None

    def _answer_few(
        self, watched: _Watched, table: _Table, plane: NDArray[Any], few: Iterable[str]
    ) -> None:
        """Look for the texts that matter instead of asking about every text."""
        assert watched.dictionary is not None
        find, first = watched.dictionary.find, table.filled
        plane[:] = 0 if table.plane == "flags" else table.missing
        for text in few:
            k = find(text) - first
            if 0 <= k < len(plane):
                plane[k] = table.answer(text)

    def _plane(self, table: _Table) -> NDArray[Any]:
        found: NDArray[Any] = getattr(self, table.plane)
        return found

    def _target(self, name: str) -> DictionaryLike:
        found = self._watched[name].dictionary
        assert found is not None, name
        return found

    def _write(self, block: _Block) -> None:
        """Copy a block to its place, which may have to become larger."""
        if 1 + block.n * block.width > block.room:
            self._lay_out()
            return
        begin = int(self.ints[block.at])
        self.reals[begin] = block.n
        flat = block.rows[: block.n].ravel()
        self.reals[begin + 1 : begin + 1 + len(flat)] = flat

    def _lay_out(self) -> None:
        """Give every table and block its room behind the constants, keeping what is filled in.

        Room that nobody has filled yet is not touched, so that it costs no memory and no time.
        """
        sizes = {"flags": 1, "reals": len(self._reals) + 1, "ints": len(self._ints) + 1}
        begins = []
        for watched in self._watched.values():
            for table in watched.tables:
                begins.append((table, sizes[table.plane]))
                sizes[table.plane] += watched.room + 1
        for block in self._blocks:
            needed = 1 + block.n * block.width
            if needed > block.room:
                block.room = 1 + 2 * block.n * block.width
            self._ints[block.at] = sizes["reals"]
            sizes["reals"] += block.room
        ints = np.empty(sizes["ints"], np.int32)
        reals = np.empty(sizes["reals"])
        flags = np.empty(sizes["flags"], np.int8)
        ints[: len(self._ints)] = self._ints
        reals[: len(self._reals)] = self._reals
        ints[len(self._ints)], reals[len(self._reals)], flags[0] = -1, np.nan, -1
        planes: dict[str, NDArray[Any]] = {"flags": flags, "reals": reals, "ints": ints}
        for table, begin in begins:
            old, new = self._plane(table), planes[table.plane]
            before, filled = self._ints[table.handle], max(table.filled, table.copied)
            if filled:
                new[begin + 1 : begin + 1 + filled] = old[before + 1 : before + 1 + filled]
            new[begin] = table.missing
            self._ints[table.handle] = begin
            ints[table.handle] = begin
        self.ints, self.reals, self.flags = ints, reals, flags
        self._point()
        for block in self._blocks:
            self._write(block)


def _alike(watched: _Watched, theirs: _Watched | None) -> Iterator[tuple[_Table, _Table]]:
    """The tables over a dictionary that ask what one of the tables before a reload has asked, and that one."""
    if watched.name == OWN or theirs is None:
        return
    known = {table.asked: table for table in theirs.tables}
    for table in watched.tables:
        if table.asked in known and table.target != OWN:
            yield table, known[table.asked]


def _times(listed: Listed, code: int, text: str) -> list[tuple[float, float, float]]:
    """Rows of a block: when a text holds, if it does so at some times only."""
    if listed.says(text) != BY_TIME:
        return []
    return [(float(code), start, end) for start, end in listed.spans(text)]
