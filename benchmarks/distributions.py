"""One page of plots of a generated bank, each beside what it was compared with.

    python -m benchmarks.distributions [--customers N] [--days N] [--seed N] [--out FILE.png]

References are recordings of ../shared/data (the simulator of the Fraud Detection Handbook, S-FFSD, which simulates the
cards of a Chinese institution, IBM's AMLworld), scaled to the same median because currencies differ, and laws that
payments are known to follow: first digits after Benford, gaps between events with a longer tail than those of a Poisson
process, shops of all sizes (rank and size). A reference that is missing is left out. What the page shows and does not
show stands in replay/bank/README.md.
"""

import argparse
import datetime as dt
import gzip
import io
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from benchmarks.measuring import RECORDING, ROOT, SHARED

PAGE = ROOT / "replay" / "bank" / "distributions.png"
ZONE_HOURS = 8  # Asia/Shanghai has no summer time
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
SHOPS = np.arange(0, 165, 5)
BLUE, ORANGE, GREEN, GREY = "#2a6f97", "#e07a5f", "#3d8b5f", "#999999"


def column(table, name):
    return table.column(name).combine_chunks()


def texts(table, name):
    """A column of texts as numpy objects; None where it is missing."""
    return column(table, name).cast(pa.string()).to_numpy(zero_copy_only=False)


def local_hours(table):
    """Hours since the Unix epoch in the bank's zone, as floats."""
    time = column(table, "event_time")
    if pa.types.is_string(time.type) or pa.types.is_dictionary(time.type):
        time = pc.strptime(
            pc.utf8_slice_codeunits(time.cast(pa.string()), 0, 19), "%Y-%m-%dT%H:%M:%S", "ms"
        )
    return time.cast(pa.timestamp("ms")).cast(pa.int64()).to_numpy() / 3.6e6 + ZONE_HOURS


def of_kind(table, kind):
    return table.filter(pc.equal(table.column("kind").cast(pa.string()), kind))


def of_type(table, *types):
    return table.filter(pc.is_in(table.column("type").cast(pa.string()), pa.array(types)))


def amounts(table):
    """Amounts of the rows in CNY, major units."""
    home = table.filter(pc.equal(table.column("currency").cast(pa.string()), "CNY"))
    return pc.cast(column(home, "amount"), pa.string()).cast(pa.float64()).to_numpy()


def distinct_per(owner, thing):
    """How many different things each owner has, one number an owner."""
    pairs = pa.table({"owner": owner, "thing": thing}).group_by("owner")
    return pairs.aggregate([("thing", "count_distinct")]).column(1).to_numpy()


def gaps(owner, hours):
    """Hours between consecutive events of one owner, divided by that owner's mean gap."""
    _, code = np.unique(owner, return_inverse=True)
    order = np.lexsort((hours, code))
    code, hours = code[order], hours[order]
    gap, same = np.diff(hours), np.diff(code) == 0
    gap, code = gap[same], code[1:][same]
    count = np.bincount(code)
    mean = np.bincount(code, gap) / np.maximum(count, 1)
    many = count[code] >= 10
    return gap[many] / mean[code[many]]


class References:
    """The recordings that the bank is compared with; each None where it is missing."""

    def __init__(self):
        self.handbook = pq.read_table(RECORDING) if RECORDING.is_file() else None
        path = SHARED / "data" / "s-ffsd" / "s-ffsd.parquet"
        self.s_ffsd = pq.read_table(path) if path.is_file() else None
        path = SHARED / "data" / "ibm-aml-patterns" / "benign_first1000.csv.gz"
        self.ibm = None
        if path.is_file():
            self.ibm = pa.csv.read_csv(io.BytesIO(gzip.decompress(path.read_bytes())))


def tail(axis, values, median, colour, label, style="-"):
    """The share of values at or above x, both axes logarithmic; scaled to `median`."""
    values = np.sort(values[values > 0])
    scaled = values * (median / np.median(values))
    keep = np.unique(np.geomspace(1, len(values), 400).astype(int)) - 1
    above = 1 - np.arange(len(values)) / len(values)
    axis.loglog(scaled[::-1][keep], above[::-1][keep], style, color=colour, lw=1.4, label=label)


def steps(axis, values, colour, label, bins):
    height, edges = np.histogram(values, bins, density=True)
    axis.stairs(height, edges, color=colour, lw=1.4, label=label)


def title(axis, text, x, y=""):
    axis.set_title(text, fontsize=9, loc="left")
    axis.set_xlabel(x, fontsize=8)
    axis.set_ylabel(y, fontsize=8)
    axis.tick_params(labelsize=7)
    axis.legend(fontsize=7, frameon=False)


def purchases_panel(axis, purchases, references):
    values = amounts(purchases)
    tail(axis, values, np.median(values), BLUE, "bank: card purchases")
    if references.s_ffsd is not None:
        theirs = column(references.s_ffsd, "Amount").to_numpy()
        tail(axis, theirs, np.median(values), ORANGE, "S-FFSD", "--")
    if references.handbook is not None:
        theirs = column(references.handbook, "TX_AMOUNT").to_numpy()
        tail(axis, theirs, np.median(values), GREY, "handbook", ":")
    title(axis, "Purchases: share at or above", "CNY (references at the same median)")


def transfers_panel(axis, payments, references):
    values = amounts(payments)
    tail(axis, values, np.median(values), BLUE, "bank: payments")
    if references.ibm is not None:
        theirs = column(references.ibm, "amount_paid").cast(pa.float64()).to_numpy()
        tail(axis, theirs, np.median(values), ORANGE, "IBM AMLworld, honest", "--")
    title(axis, "Payments: share at or above", "CNY (reference at the same median)")


def digits_panel(axis, purchases, payments):
    digits = np.arange(1, 10)
    for values, colour, label in (
        (amounts(purchases), BLUE, "bank: purchases"),
        (amounts(payments), GREEN, "bank: payments"),
    ):
        values = values[values > 0]
        first = (values / 10.0 ** np.floor(np.log10(values))).astype(int)
        axis.plot(
            digits, np.bincount(first, minlength=10)[1:10] / len(first), "o-", color=colour, ms=3,
            label=label,
        )  # fmt: skip
    axis.plot(digits, np.log10(1 + 1 / digits), "--", color=ORANGE, label="Benford's law")
    title(axis, "First digits", "first digit")


def hours_panel(axis, tables):
    for table, colour, label in tables:
        hour = local_hours(table) % 24
        steps(axis, hour, colour, label, np.arange(25))
    axis.axhline(1 / 24, color=GREY, ls=":", label="no habits")
    axis.set_xticks(range(0, 25, 6))
    title(axis, "Hours, local time", "hour of the day")


def weekdays_panel(axis, tables):
    for table, colour, label in tables:
        day = (local_hours(table) // 24).astype(int)
        whole = (day.max() + 1 - day.min()) // 7 * 7
        day = day[day < day.min() + whole]
        share = np.bincount((day + 3) % 7, minlength=7) / len(day)  # day 0 was a Thursday
        axis.plot(range(7), share, "o-", color=colour, ms=3, label=label)
    axis.axhline(1 / 7, color=GREY, ls=":", label="no habits")
    axis.set_xticks(range(7), WEEKDAYS)
    title(axis, "Weekdays", "")


def days_panel(axis, tables):
    for table, colour, label in tables:
        day = (local_hours(table) // 24).astype(int)
        count = np.bincount(day - day.min())
        first = dt.date(1970, 1, 1) + dt.timedelta(int(day.min()))
        when = [first + dt.timedelta(d) for d in range(len(count))]
        axis.plot(when, count / count.mean(), color=colour, lw=1.2, label=label)
    axis.set_yscale("symlog", linthresh=2.0)
    axis.tick_params(axis="x", labelrotation=30)
    title(axis, "Days: holidays and salary days", "", "of the mean")


def gaps_panel(axis, purchases, references):
    bins = np.geomspace(1e-3, 20, 60)
    steps(axis, gaps(texts(purchases, "account"), local_hours(purchases)), BLUE, "bank", bins)
    if references.handbook is not None:
        some = references.handbook.slice(0, 300_000)
        hours = column(some, "TX_TIME_SECONDS").cast(pa.float64()).to_numpy() / 3_600
        steps(axis, gaps(column(some, "CUSTOMER_ID").to_numpy(), hours), GREY, "handbook", bins)
    centre = np.sqrt(bins[1:] * bins[:-1])
    axis.plot(centre, np.exp(-centre), "--", color=ORANGE, label="Poisson process")
    axis.set_xscale("log")
    axis.set_yscale("log")
    title(axis, "Between purchases of an account", "gap, of the account's mean")


def shops_panel(axis, purchases, references, days):
    """Different shops of an account; only the first `days` of the handbook, as long as the bank."""
    rows = purchases.filter(pc.is_valid(purchases.column("merchant")))
    count = distinct_per(texts(rows, "account"), texts(rows, "merchant"))
    steps(axis, count, BLUE, f"bank, {days} days", SHOPS)
    if references.handbook is not None:
        seconds = pc.cast(references.handbook.column("TX_TIME_SECONDS"), pa.int64())
        some = references.handbook.filter(pc.less(seconds, days * 86_400))
        theirs = distinct_per(column(some, "CUSTOMER_ID"), column(some, "TERMINAL_ID"))
        steps(axis, theirs, GREY, f"handbook, {days} days", SHOPS)
    title(axis, "Different shops of an account", "shops")


def ranks_panel(axis, purchases, references):
    rows = purchases.filter(pc.is_valid(purchases.column("merchant")))
    for names, colour, label in (
        (texts(rows, "merchant"), BLUE, "bank"),
        (None if references.s_ffsd is None else texts(references.s_ffsd, "Target"), ORANGE, "S-FFSD"),
    ):  # fmt: skip
        if names is not None:
            size = np.sort(np.unique(names, return_counts=True)[1])[::-1]
            rank = np.arange(1, len(size) + 1) / len(size)
            axis.loglog(rank, size / size.mean(), color=colour, lw=1.4, label=label)
    title(axis, "Shops by size", "rank, of all shops", "events, of the mean")


def draw(recording, days, out):
    """Draw the page about the Parquet `recording` to `out`."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    table = pq.read_table(recording)
    transactions, activities = of_kind(table, "transaction"), of_kind(table, "activity")
    purchases = of_type(transactions, "card_auth")
    payments = of_type(transactions, "payment", "transfer")
    logins = of_type(activities, "login")
    references = References()
    figure, axes = plt.subplots(3, 3, figsize=(12, 10), dpi=80, layout="constrained")
    purchases_panel(axes[0, 0], purchases, references)
    transfers_panel(axes[0, 1], payments, references)
    digits_panel(axes[0, 2], purchases, payments)
    each = ((purchases, BLUE, "purchases"), (payments, GREEN, "payments"), (logins, ORANGE, "logins"))  # fmt: skip
    hours_panel(axes[1, 0], each)
    weekdays_panel(axes[1, 1], each)
    days_panel(axes[1, 2], (*each[:2], (of_type(transactions, "salary"), ORANGE, "salaries")))
    gaps_panel(axes[2, 0], purchases, references)
    shops_panel(axes[2, 1], purchases, references, days)
    ranks_panel(axes[2, 2], purchases, references)
    figure.savefig(out, metadata={"Software": None})
    plt.close(figure)


def main(argv=None):
    from replay.generate import generate

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("customers", 4_000), ("days", 70), ("seed", 7)):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N")
    parser.add_argument("--out", type=Path, default=PAGE, metavar="FILE.png")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "bank.parquet"
        generate(recording, accounts=round(given.customers / 0.8), days=given.days, seed=given.seed)
        draw(recording, given.days, given.out)
    print(given.out)


if __name__ == "__main__":
    main()
