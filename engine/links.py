"""Labels and updates as rows of the transaction they mean.

A label carries an id and a verdict, an update what has changed; features over them need the keys of the transaction,
their conditions its fields. Such a row takes over the columns that features read, where it has none of its own: from
the store of remembered transactions, or from the row of this batch that has them newest. Not here: which transaction a
row means (engine/admission.py), and what models learn from it (engine/labels.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.admission import Admitted
from engine.batch import LABEL, UPDATE, Batch
from engine.entities import Dictionaries
from engine.kernels.taking import keep_columns, take_over
from engine.remembered import Remembered
from rules.columns import Frame, Layout
from rules.definitions import Pack
from rules.ruleset import Ruleset
from rules.tree import TEXT

I8: TypeAlias = NDArray[np.int64]
OWN = frozenset(
    {"event_time", "label", "source", "typology"}
)  # a label has its own of these, or none


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns that are taken over: rows of the two planes, and where each stands in the store."""

    number: I8
    code: I8
    number_at: I8
    code_at: I8

    def __len__(self) -> int:
        return len(self.number) + len(self.code)

    def only(self, names: Sequence[str], layout: Layout) -> "Columns":
        """Those of them that are named."""
        places = [layout[name] for name in names]
        number = np.isin(self.number, [p.row for p in places if not p.is_code])
        code = np.isin(self.code, [p.row for p in places if p.is_code])
        return Columns(
            self.number[number], self.code[code], self.number_at[number], self.code_at[code]
        )


class Links:
    """What labels and updates take over, for one configuration.

    all    : every column kept of a transaction     windowed, computed : those of them that are features
    texts  : rows of the code plane that hold texts; their codes end with the batch, so the texts themselves are kept
    number_names, code_names, text_names : columns of the store, in its order
    """

    def __init__(self, pack: Pack, layout: Layout, dictionaries: Dictionaries) -> None:
        self._layout, self._dictionaries = layout, dictionaries
        names = _wanted(pack, layout)
        self.text_names = tuple(n for n in names if layout[n].dictionary == TEXT)
        self.texts = tuple(layout[name].row for name in self.text_names)
        kept = [name for name in names if layout[name].dictionary != TEXT]
        self.number_names = tuple(name for name in kept if not layout[name].is_code)
        self.code_names = tuple(name for name in kept if layout[name].is_code)
        places = [layout[name] for name in kept]
        number = np.array([p.row for p in places if not p.is_code], np.int64)
        code = np.array([p.row for p in places if p.is_code], np.int64)
        self.all = Columns(number, code, np.arange(len(number)), np.arange(len(code)))
        features = pack.features.items()
        self._windowed = self.all.only([n for n, f in features if f.aggregate], layout)
        self._computed = self.all.only([n for n, f in features if f.expression], layout)

    def take_texts(self, frame: Frame, admitted: Admitted, memory: Remembered) -> None:
        """Take texts over; before the tables of the rules learn which texts there are in this batch."""
        if not self.texts:
            return
        texts = self._dictionaries[TEXT]
        for row in admitted.links.tolist():
            source = int(admitted.linked_from[row])
            kept = memory.texts(int(admitted.entry[row])) if source < 0 else ()
            for k, column in enumerate(self.texts):
                codes = frame.code[column]
                if codes[row] < 0 and source >= 0:
                    codes[row] = codes[source]
                elif codes[row] < 0 and (text := kept[k]) is not None:
                    codes[row] = texts.code(text)

    def set_original_facts(self, batch: Batch, admitted: Admitted, memory: Remembered) -> None:
        """Let an update stand at the time of its transaction."""
        if not len(admitted.links):
            return
        updates = admitted.links[batch.kind[admitted.links] == UPDATE]
        at = memory.rows(admitted.entry[updates])
        if "event_time" in self._layout:
            batch.frame.column("event_time")[updates] = memory.arrays["time_us"][at]

    def take(
        self,
        frame: Frame,
        admitted: Admitted,
        memory: Remembered,
        columns: Columns | None = None,
        of_rows: I8 | None = None,
    ) -> None:
        """Give labels and updates the columns of the transaction they mean, where they have none of their own.

        columns : of these; None for all           of_rows : those of them that get columns; None for all
        """
        columns = self.all if columns is None else columns
        rows = admitted.links if of_rows is None else of_rows
        if frame.n and not (len(rows) and len(columns)):  # an empty batch warms the kernel up
            return
        kept = memory.arrays
        take_over(
            frame.number, frame.code, columns.number, columns.number_at, columns.code, columns.code_at,
            rows, admitted.linked_from[rows], memory.rows(admitted.entry[rows]), kept["number"], kept["code"],
        )  # fmt: skip

    def take_windows(self, frame: Frame, admitted: Admitted, memory: Remembered) -> None:
        """Take over window features, once they stand in the rows of this batch."""
        self.take(frame, admitted, memory, self._windowed)

    def compute(
        self,
        ruleset: Ruleset,
        stratum: int,
        batch: Batch,
        admitted: Admitted,
        memory: Remembered,
    ) -> None:
        """Compute the features that are expressions: of updates from present values, of labels none of their own.

        An update is the transaction as it is now, so its expressions follow its amount; a label only points at one, and
        its time is not the transaction's.
        """
        frame, columns = batch.frame, self._computed
        ruleset.expressions(stratum, frame)
        if not len(admitted.links) or not len(columns):
            return
        labels = admitted.links[batch.kind[admitted.links] == LABEL]
        if len(labels):
            frame.number[columns.number[:, None], labels] = np.nan
            frame.code[columns.code[:, None], labels] = -1
            self.take(frame, admitted, memory, columns, labels)

    def keep(self, batch: Batch, admitted: Admitted, memory: Remembered) -> None:
        """Keep the columns of new transactions, and of those that an update has changed."""
        frame, store, columns = batch.frame, memory.arrays, self.all
        links = admitted.links
        updates = links[batch.kind[links] == UPDATE] if len(links) else links
        for rows in (admitted.new, updates):
            if frame.n and not len(rows):
                continue
            keep_columns(
                frame.number, frame.code, columns.number, columns.code,
                rows, memory.rows(admitted.entry[rows]), store["number"], store["code"],
            )  # fmt: skip
            if self.texts:
                texts: list[str | None] = [*self._dictionaries[TEXT].texts, None]  # -1 is missing
                for row in rows.tolist():
                    kept = tuple(texts[frame.code[column, row]] for column in self.texts)
                    memory.keep_texts(int(admitted.entry[row]), kept)


def _wanted(pack: Pack, layout: Layout) -> list[str]:
    """What features of labels and of amended transactions read: keys, arguments, conditions.

    And what expressions among these read, for an update computes them again.
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
    return [name for name in dict.fromkeys(names) if name not in OWN and name in layout]
