"""What stands where in the arrays of a plan (engine/scanning/plan.py): names for columns and numbers."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

I1: TypeAlias = NDArray[np.int8]
I4: TypeAlias = NDArray[np.int32]
F8: TypeAlias = NDArray[np.float64]

# columns of `field`: one row a key, the keys of the struct in its order, then unknown ones that are only counted
WIRE = 0  # how the value is read, below
NAME = 1  # where `"name":` begins in `names`
SIZE = 2  # bytes of `"name":`
NUMBER = 3  # row in the plane of numbers, or -1
SPAN = 4  # column in the spans, or -1
DIGITS = 5  # of money: decimals of the currency
FLAGS = 6
LISTED = 7  # what a look-up of the value gives, below
KNOWN = 8  # place among the keys of the schema, or -1
WIDTH = 9

TEXT, ID, MONEY, NUMBER_WIRE, DURATION, TIME, FLAG, UNKNOWN = range(8)

SIGNED = 1  # money below zero will do
DATED = 2  # a plain date will do
OF_LABEL = 4  # labels are read for it
CLOSED = 8  # values outside the list are wrong
IS_TIME = 16  # `event_time`
HAS_LIST = 32  # values outside the list are counted

NO_LIST, VALUES, KINDS, CURRENCY, TYPES = range(5)

# columns of `types`: one row an event type that the schema says anything about
EXPECTED = 0  # 1: in the list of the schema
MEANT_FOR = 1  # the kind of message that may have it; 0 any
FIRST_NEED, LAST_NEED = 2, 3  # part of `needs`

# rows of `counts`: by field, by field, by column of the spans, by kind
PRESENT, UNSEEN, SPANNED, TAKEN = 0, 1, 2, 3
COUNTS = 4

SIZE_BITS = 20  # a span is the first byte times 2**20, and the number of bytes
SPARE = 64  # bytes that may be read after the longest guess
ID_BYTES_MAX = 256
