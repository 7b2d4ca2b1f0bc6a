"""Where everything stands in the arrays of one event log: what Python plans and kernels read.

An *event log* belongs to one tuple of key columns and holds, for each entity, its events in (time, seq) order in one
segment of an arena. The *name* of an entity is its code, or the number of its pair of codes; PLACE says which *slot*
it has. Where nothing is over all, an entity without events has none: a sweep gives it to the next who comes. A record
a slot says where the segment is and carries the running state of all features:

    START CLASS LENGTH BASE AS_OF NEXT OWNER | one tail a horizon | pointers | frozen | tables | orders | chains |
    fades | distinct | cells

- A *horizon* is a distinct window length or lag, or the local day, week or month of the moment (horizons.py). Its tail
  is the position of the oldest event younger than that.
- A *bit* is a distinct pair of filter and argument that must be present; an event carries a mask of them.
- A *cell* is an accumulator over the events of one bit inside one horizon: count, sums, sums of squares. A window with
  a lag is the difference of two cells.
- A *hook* is what else happens when the tail of a horizon passes an event: with a lag an event enters its structures
  when it is that old, without one when it arrives.
- BASE is how many events were ever dropped from the front: position + BASE names an event for as long as it is kept.

A plan is one vector: a header, then tables. The header has for each table the word where it begins (KEYS) and the
word after its end (KEYS + 1); rows are named by the word where they begin. One vector and not fifteen arrays, because
passing arrays from kernel to kernel took longer than the work: 8.6 us for 40 features, and 2.4 since.
"""

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

I1: TypeAlias = NDArray[np.int8]
I4: TypeAlias = NDArray[np.int32]
I8: TypeAlias = NDArray[np.int64]
F8: TypeAlias = NDArray[np.float64]
B1: TypeAlias = NDArray[np.bool_]

# Actions, as in engine/batch.py; said again here so that its other readers do not make these kernels compile anew.
SKIP, EVENT, READ, AMEND, PUT = range(5)

# Header of a plan. From KEYS on: begin and end of a table.
WIDTH, EVENT_WIDTH, KEEP_US, LATENESS_US, N_HORIZONS, N_CALENDARS = range(
    6
)  # widths in words, of a record and of an event; how many horizons are calendar windows
KEYS: Final = 6  # rows of the code plane whose codes make the key
BITS: Final = 8
COLUMNS: Final = 10
HORIZONS: Final = 12  # ascending: first calendar windows (< 0, see horizons.py), then microseconds
CELLS: Final = 14  # sorted by horizon, those over all last
CELL_OF: Final = 16  # cells of horizon h: from plan[plan[CELL_OF] + h] to the next; N_HORIZONS stands for over all
HOOKS: Final = 18
HOOK_OF: Final = 20  # the same for hooks; N_HORIZONS stands for arrival
GROUPS: Final = 22
DISTINCTS: Final = 24
ORDERS: Final = 26
LATESTS: Final = 28
EARLIESTS: Final = 30
FROZENS: Final = 32
PRIORS: Final = 34  # features that do not see the row itself
FEATURES: Final = 36  # the others; they follow on the priors
PERIODS: Final = 38  # tables of periods, one after the other
CHAINS: Final = 40
KEEP_EVENTS: Final = 42  # how many events stay however old they are
FADES: Final = 43
SWEEP_EVERY, SWEEP_SLICE, SWEEP_ROWS = (
    45,
    46,
    47,
)  # at which multiples of seq how many entities are swept
# Of a log that holds a sample (sketches.py): how many values, or events, a layer holds, 0 for a log that holds all;
# where the record keeps the active level, and how many events make it thin out; horizons of window and lag; by value?
S_SIZE, S_AT, S_HORIZON, S_LAG, S_BY_VALUE = range(48, 53)
HEADER: Final = 53

# Rows of its tables: width, then columns. A column named _AT is a place in the record.
BIT_ROW, B_FILTER, B_COLUMN = 2, 0, 1  # B_COLUMN: index of the column that must be present, or -1
COLUMN_ROW, C_CODED, C_ROW, C_SCALE = 3, 0, 1, 2  # plane and row; 10**decimals
CELL_ROW, BIT, COLUMN, KIND, AT = 4, 0, 1, 2, 3
COUNT_ONLY, WITH_SUM, WITH_SQUARES = (
    0,
    1,
    2,
)  # kinds of cell; words: count; high, low; four limbs of squares
HOOK_ROW, H_KIND, H_ROW = 2, 0, 1
GROUP_ENTER, GROUP_LEAVE, ORDER_ENTER, ORDER_LEAVE, LATEST_ENTER, CHAIN_ENTER, CHAIN_LEAVE = range(
    7
)
GROUP_ROW, G_BIT, G_COLUMN, G_LAG, G_LONGEST, G_FLAG, G_AT, G_FIRST, G_END = (
    8,
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
)
# G_LAG: a horizon or -1; G_AT: start, class, used of its table; G_FIRST .. G_END: its rows of DISTINCTS
DISTINCT_ROW, D_GROUP, D_HORIZON, D_AT = 3, 0, 1, 2
ORDER_ROW, O_BIT, O_COLUMN, O_LAG, O_HORIZON, O_SPREAD, O_AT = 6, 0, 1, 2, 3, 4, 5
# O_SPREAD: 1 for entropies; O_AT: start, class, length of sorted values, and for entropies what exact.spread adds up to
CHAIN_ROW, X_BIT, X_COLUMN, X_LAG, X_LONGEST, X_SIGN, X_AT = 6, 0, 1, 2, 3, 4, 5
# X_SIGN: 1 for maxima, -1 for minima; X_AT: start, class, entries gone, entries
LATEST_ROW, L_BIT, L_LAG, L_AT = (
    3,
    0,
    1,
    2,
)  # L_AT: 1 + (BASE + position) of the newest event, 0 for none
EARLIEST_ROW, E_BIT, E_AT = (
    2,
    0,
    1,
)  # E_AT: nothing before BASE + position matches, inside the window
FROZEN_ROW, Z_BIT, Z_COLUMN, Z_AT = (
    3,
    0,
    1,
    2,
)  # Z_AT: known, first time and value, last time and value, of dropped
FADE_ROW, Y_BIT, Y_COLUMN, Y_HALF, Y_AT = 4, 0, 1, 2, 3
# Y_HALF: microseconds; Y_AT: events, as of when, sum and weight (float64); as of when, sum and weight of dropped ones
FEATURE_ROW: Final = 11
F_OP, F_P, F_Q, F_COLUMN, F_LAG, F_LAG_TAIL, F_TAIL, F_FROZEN, F_CODED, F_OUT, F_LEVEL = range(11)
# F_P, F_Q: places in the record, or rows of ORDERS, CHAINS, LATESTS, EARLIESTS; F_FROZEN: a row or -1
# F_Q: -1 without lag; of a distinct count S_AT, or -1 without sample
# Of NEWEST: F_P is the operation over the events, F_Q how many events
# F_LEVEL: of a quantile, in billionths; of a sum, what it is divided by

# Operations of a feature.
COUNT, SUM, AVG, STDDEV, DISTINCT, QUANTILE, FIRST, LAST, SINCE_FIRST, SINCE_LAST = range(10)
MIN, MAX, NEWEST, FADED_COUNT, FADED_SUM, FADED_AVG = 10, 11, 12, 13, 14, 15
ENTROPY: Final = 16
LEVEL_ONE: Final = 1_000_000_000  # quantile levels are whole billionths: 0.07 of 100 values is the 7th, not the 8th

# Columns of a record.
START: Final = 0  # first event of the segment, in events
CLASS: Final = (
    1  # the segment has room for 2**CLASS events; 0: none, and with BASE 0 nothing was ever stored
)
LENGTH: Final = 2
BASE: Final = 3
AS_OF: Final = 4  # the state is that of this moment, microseconds
NEXT: Final = 5  # nothing leaves any horizon before this moment
OWNER: Final = 6  # the name of the entity; of a free slot ~(1 + the next free one, or 0)
TAIL: Final = 7  # then one tail a horizon

# Words of an event: its time, `seq << FLAGS | flags`, its values. Flags: the mask, then one "superseded" a group.
TIME: Final = 0
META: Final = 1
VALUE: Final = 2
FLAGS: Final = 18
LAYER: Final = 8  # in the log of a sample flags 8 .. 13 are the layer of the event,
LAYER_TOP: Final = 63
PASSES: Final = 1 << 16  # it passes the filter; the mask says whether its level is active
LOW: Final = (1 << 32) - 1

# Scalars of a state.
CORE_US, SLOTS, REASON = 0, 1, 2
SWEPT, SWEEP_AT = 3, 4  # the next slot to sweep; the seq at which
LOG_FREE: Final = 5  # bump pointer, then 1 + the first free segment of each size class, of the log
POOL_FREE: Final = 69  # and of the pool
PLACES: Final = 133  # names that ever had a slot are below this
SLOT_FREE: Final = 134  # 1 + the first free slot, or 0
PAIRS: Final = (
    135  # then count and highest power of two not above count + 1, of each level of pairs
)
NEED_RECORDS, NEED_LOG, NEED_POOL, NEED_PAIRS, TOO_OLD, NEED_PLACES = 1, 2, 3, 4, 5, 6

# One row of the table of event logs, which goes into a kernel instead of their arrays: address and length of each.
AT_PLAN, AT_RECORD, AT_LOG, AT_POOL, AT_NOTE, AT_PLACE = 0, 2, 4, 6, 8, 10
AT_PAIRS, AT_FOLLOW, AT_HEAD = 12, 13, 14  # addresses only
N_LEVELS, N_PAIRS = 15, 16  # rows of those three, and columns (HEAD: two more)
ROW: Final = 17  # the row of the batch where this log goes on
LOG_ROW: Final = 18  # words of a row

NEVER: Final = 1 << 62
MISSING: Final = -(1 << 63)  # not a value: fixed-point numbers stay below 2**62
