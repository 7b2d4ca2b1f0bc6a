"""The canonical workload: its configuration and its stream, the same bytes for the same size and seed.

    python -m replay.speed.workload FOLDER [--size N] [--forest]      writes FOLDER/config and FOLDER/stream.ndjson

Of N transactions (1,000,000): N / 5 accounts over 14 days, N / 20 activities beside them, a label for 2 % half a day to
three days later, 1 % up to 14 minutes out of order, 0.1 % later than the lateness allows, 0.1 % sent twice. Some
accounts are much busier than others; four in a thousand transactions are frauds with what gives frauds away (a large
amount, a device that others use, a shop or payee of the same gang), so that labels teach something.
"""

import argparse
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from config.settings import BANK, MODELS_FILE, SCHEMA_FILE

N: Final = 1_000_000  # transactions
SMOKE: Final = 20_000
HERE: Final = Path(__file__).resolve().parent / "canonical"
FOREST: Final = "forest.yaml"  # models of canonical+forest
START_US: Final = 1_767_542_400_000_000  # 2026-01-04T16:00:00Z, midnight in Shanghai
HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US
DAYS: Final = 14
LABELLED_DAYS: Final = (
    11  # of these transactions labels are drawn, so that all arrive before the stream ends
)
LABELLED, OUT_OF_ORDER, LATE, REPEATED, FRAUD = 0.02, 0.01, 0.001, 0.001, 0.004

I8 = NDArray[np.int64]
PAYMENT = (
    b'{"transaction_id":"%s","event_time":"%s","account":"A%07d","customer":"C%07d","counterparty":"A%07d",'
    b'"device":"D%07d","amount":"%d.%02d","currency":"CNY","type":"payment","direction":"%s","status":"%s",'
    b'"channel":"%s","country":"CN","balance_before":"%d.00"}'
)
CARD = (
    b'{"transaction_id":"%s","event_time":"%s","account":"A%07d","customer":"C%07d","card":"K%07d","merchant":"M%05d",'
    b'"amount":"%d.%02d","currency":"CNY","type":"card_auth","direction":"out","status":"%s","channel":"%s",'
    b'"entry_mode":"%s","mcc":"%d","country":"%s"}'
)
CASH = (
    b'{"transaction_id":"%s","event_time":"%s","account":"A%07d","customer":"C%07d","card":"K%07d","terminal":"T%05d",'
    b'"amount":"%d.%02d","currency":"CNY","type":"cash_withdrawal","direction":"out","status":"%s","channel":"atm",'
    b'"country":"CN"}'
)
ACTIVITY = (
    b'{"kind":"activity","event_time":"%s","account":"A%07d","customer":"C%07d","device":"D%07d",'
    b'"type":"%s","channel":"mobile"}'
)
LABEL = (
    b'{"kind":"label","event_time":"%s","transaction_id":"%s","account":"A%07d","label":"%s",'
    b'"source":"case"}'
)
MCCS: Final = np.array([5411, 5812, 5541, 5999, 5732, 4829, 7995, 4111, 5311, 5912])
ACTIVITIES: Final = (
    b"login",
    b"login_failed",
    b"password_reset",
    b"phone_change",
    b"payee_added",
    b"device_enrolled",
)
OFTEN: Final = np.array([0.78, 0.08, 0.02, 0.01, 0.07, 0.04])


def configure(folder: Path, *, forest: bool = False) -> Path:
    """Write the configuration into `folder`, which is new; return it. The schema is that of the shipped bank."""
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns(FOREST))
    shutil.copyfile(BANK / SCHEMA_FILE, folder / SCHEMA_FILE)
    if forest:
        shutil.copyfile(HERE / FOREST, folder / MODELS_FILE)
    return folder


def times(at_us: I8) -> list[bytes]:
    """RFC 3339 with milliseconds."""
    text = np.datetime_as_string(at_us.astype("datetime64[us]").astype("datetime64[ms]"), unit="ms")
    found: list[bytes] = (np.char.add(text, "Z")).astype("S24").tolist()
    return found


def stream(
    n: int = N,
    *,
    seed: int = 6,
    orderly: bool = False,
    start_us: int = START_US,
    accounts: int = 0,
) -> list[bytes]:
    """All messages in order of arrival, without newlines.

    orderly  : without what is out of order, late or repeated: what simpler programs can follow exactly
    start_us : when the two weeks begin, whole milliseconds
    accounts : how many there are, in place of a fifth of the transactions
    """
    rng = np.random.default_rng(seed)
    n_accounts = accounts or max(n // 5, 200)
    at_us = at_random(rng, n, start_us, DAYS * DAY_US)
    weight = rng.lognormal(0.0, 1.0, n_accounts)
    account = np.searchsorted(np.cumsum(weight / weight.sum()), rng.random(n)).clip(
        max=n_accounts - 1
    )
    is_fraud = rng.random(n) < FRAUD
    lines = transactions(rng, at_us, account, is_fraud, n_accounts)
    arrived_us = at_us.copy()
    if not orderly:
        behind = rng.random(n)
        for low, high, from_us, to_us in (
            (0.0, OUT_OF_ORDER, 1_000_000, 14 * 60_000_000),
            (OUT_OF_ORDER, OUT_OF_ORDER + LATE, 20 * 60_000_000, 90 * 60_000_000),
        ):
            rows = np.flatnonzero((behind >= low) & (behind < high))
            arrived_us[rows] += rng.integers(from_us, to_us, len(rows))
    parts = [(arrived_us, lines)]
    if not orderly:
        again = rng.choice(n, round(n * REPEATED), replace=False)
        later_us = rng.integers(1_000_000, 6 * HOUR_US, len(again))
        parts.append((arrived_us[again] + later_us, [lines[k] for k in again.tolist()]))
    parts.append(activities(rng, at_random(rng, n // 20, start_us, DAYS * DAY_US), n_accounts))
    early = at_us < start_us + LABELLED_DAYS * DAY_US
    later = 12 * HOUR_US, 3 * DAY_US - 2 * HOUR_US
    n_labels = round(n * LABELLED)
    parts.append(labels(rng, early, arrived_us, later, account, is_fraud, n_labels))
    order = np.argsort(np.concatenate([at for at, _ in parts]), kind="stable")
    everything = [line for _, lines in parts for line in lines]
    return [everything[k] for k in order.tolist()]


def live(due_us: I8, *, first: int, history: int) -> tuple[list[bytes], I8, NDArray[np.bool_]]:
    """Transactions that happen when they are due, activities and labels among them as in the stream.

    Nobody pays twice before everybody has paid once: drawn at random, 50,000 a second of 40,000 accounts set off the
    velocity rules in a quarter of all rows, and what was measured was alerts, not the rate.

    due_us  : (n,) when each transaction is due, in order
    first   : number of the first one; they are named tl0, tl1, ...
    history : transactions of the stream that came before: its accounts are those here

    Returns lines in order, when each is due, and which are transactions.
    """
    n, n_accounts = len(due_us), max(history // 5, 200)
    rng = np.random.default_rng((11, first))
    rounds = [rng.permutation(n_accounts) for _ in range(0, n, n_accounts)]
    account = np.concatenate(rounds)[:n]
    is_fraud = rng.random(n) < FRAUD
    lines = transactions(rng, due_us, account, is_fraud, n_accounts, first=first, name=b"tl")
    span_us = int(due_us[-1] - due_us[0]) + 1
    soon = span_us // 10 + 1_000, span_us // 4 + 2_000
    early = due_us < due_us[0] + span_us * 7 // 10
    at_random_us = at_random(rng, n // 20, int(due_us[0]), span_us)
    n_labels = round(n * LABELLED)
    parts = [
        (due_us, lines),
        activities(rng, at_random_us, n_accounts),
        labels(rng, early, due_us, soon, account, is_fraud, n_labels, first=first, name=b"tl"),
    ]
    when_us = np.concatenate([at for at, _ in parts])
    order = np.argsort(when_us, kind="stable")
    everything = [line for _, lines in parts for line in lines]
    return [everything[k] for k in order.tolist()], when_us[order], order < n


def at_random(rng: np.random.Generator, n: int, start_us: int, span_us: int) -> I8:
    """Times within a span, in order, whole milliseconds."""
    return np.sort(start_us + (rng.random(n) * span_us).astype(np.int64)) // 1_000 * 1_000


def customer_of(account: I8) -> I8:
    """The owner: every fifth customer has two accounts."""
    return account * 5 // 6


def transactions(
    rng: np.random.Generator,
    at_us: I8,
    account: I8,
    is_fraud: NDArray[np.bool_],
    n_accounts: int,
    *,
    first: int = 0,
    name: bytes = b"t",
) -> list[bytes]:
    """A line for each row: 55 % payments, 40 % card purchases, 5 % cash."""
    n = len(at_us)
    customer, home = customer_of(account), account * 6 // 5
    strange = rng.random(n) < 0.03  # another device than the usual ones
    gang = max(n_accounts // 1_000, 5)
    device = np.where(
        strange,
        rng.integers(0, n_accounts * 5 // 4, n),
        home + rng.integers(0, 2, n) * (account % 3 == 0),
    )
    device = np.where(is_fraud, n_accounts * 5 // 4 + rng.integers(0, gang, n), device)
    merchant = (rng.random(n) ** 2 * max(n_accounts // 10, 20)).astype(np.int64)
    merchant = np.where(is_fraud, merchant % gang, merchant)
    payee = (account + rng.integers(1, 9, n)) % n_accounts  # mostly the same few
    payee = np.where(rng.random(n) < 0.2, rng.integers(0, n_accounts, n), payee)
    payee = np.where(is_fraud, rng.integers(0, gang, n), payee)
    level = (np.random.default_rng(7).lognormal(0.0, 0.5, n_accounts))[account]  # own habits
    fen = np.exp(rng.normal(9.8, 1.3, n)) * level * np.where(is_fraud, 12.0, 1.0)
    fen = fen.clip(100, 50_000_000).astype(np.int64)
    kind = np.searchsorted([0.55, 0.95], rng.random(n))
    refused = rng.random(n) < np.where(is_fraud, 0.3, 0.02)
    status = [b"declined" if r else b"booked" for r in refused.tolist()]
    online = rng.random(n) < np.where(is_fraud, 0.9, 0.35)
    incoming = (rng.random(n) < 0.2) & ~is_fraud
    abroad = rng.random(n) < 0.02
    columns: list[list[Any]] = [
        [b"%s%d" % (name, k) for k in range(first, first + n)], times(at_us), account.tolist(), customer.tolist(),
        (fen // 100).tolist(), (fen % 100).tolist(), kind.tolist(),
        payee.tolist(), device.tolist(), merchant.tolist(), MCCS[merchant % len(MCCS)].tolist(),
        online.tolist(), incoming.tolist(), abroad.tolist(), rng.integers(0, 90_000, n).tolist(),
    ]  # fmt: skip
    lines = []
    for s, (k, at, a, c, yuan, cents, what, p, d, m, mcc, web, into, far, left) in zip(
        status, zip(*columns, strict=True), strict=True
    ):
        if what == 0:
            way, channel = b"in" if into else b"out", b"web" if web else b"mobile"
            lines.append(PAYMENT % (k, at, a, c, p, d, yuan, cents, way, s, channel, left))
        elif what == 1:
            channel, mode = (b"online", b"ecommerce") if web else (b"pos", b"chip")
            country = b"TH" if far else b"CN"
            lines.append(CARD % (k, at, a, c, a, m, yuan, cents, s, channel, mode, mcc, country))
        else:
            lines.append(CASH % (k, at, a, c, a, m, yuan, cents, s))
    return lines


def activities(rng: np.random.Generator, at_us: I8, n_accounts: int) -> tuple[I8, list[bytes]]:
    """When they arrive, and a line for each."""
    n = len(at_us)
    account = rng.integers(0, n_accounts, n)
    what = rng.choice(len(ACTIVITIES), n, p=OFTEN).tolist()
    columns: Iterable[tuple[Any, ...]] = zip(
        times(at_us),
        account.tolist(),
        customer_of(account).tolist(),
        (account * 6 // 5).tolist(),
        [ACTIVITIES[k] for k in what],
        strict=True,
    )
    return at_us, [ACTIVITY % row for row in columns]


def labels(
    rng: np.random.Generator,
    early: NDArray[np.bool_],
    arrived_us: I8,
    later: tuple[int, int],
    account: I8,
    is_fraud: NDArray[np.bool_],
    n: int,
    *,
    first: int = 0,
    name: bytes = b"t",
) -> tuple[I8, list[bytes]]:
    """When they arrive, and a line for each: `n` of the `early` transactions, frauds before others, so much `later`."""
    frauds, others = np.flatnonzero(early & is_fraud), np.flatnonzero(early & ~is_fraud)
    rows = np.concatenate([frauds[:n], rng.choice(others, max(n - len(frauds), 0), replace=False)])
    later_us = rng.integers(*later, len(rows)) // 1_000 * 1_000
    known_us = arrived_us[rows] // 1_000 * 1_000 + later_us
    said = [b"fraud" if yes else b"genuine" for yes in is_fraud[rows].tolist()]
    ids = [b"%s%d" % (name, first + k) for k in rows.tolist()]
    columns = zip(times(known_us), ids, account[rows].tolist(), said, strict=True)
    return known_us, [LABEL % row for row in columns]


def write(path: Path, lines: Iterable[bytes]) -> None:
    """One line a message."""
    with path.open("wb") as file:
        file.writelines(line + b"\n" for line in lines)


def main(argv: list[str] | None = None) -> int:
    """Write configuration and stream into a folder, for profilers and the curious."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=N, metavar="N", help=f"transactions; {N:,}")
    parser.add_argument("--forest", action="store_true", help="canonical+forest")
    given = parser.parse_args(argv)
    configure(given.folder / "config", forest=given.forest)
    write(given.folder / "stream.ndjson", stream(given.size))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
