"""A recording of a generated bank: weeks of canonical events, and beside it what really happened.

What the bank is and what it assumes stands in replay/bank/README.md. What fraudsters do does not react to what the
engine decides.
"""

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from config.errors import ConfigError
from replay.bank import messages
from replay.bank.aftermath import Aftermath
from replay.bank.habits import Habits
from replay.bank.parquet import ParquetFile
from replay.bank.plan import make_plan, trips
from replay.bank.population import make_population
from replay.bank.recording import Noise, Recording
from replay.bank.truth import Truth, truth_path
from replay.bank.typologies import TYPOLOGIES
from replay.bank.writer import NdjsonFile, Renderer

ZONE: Final = ZoneInfo("Asia/Shanghai")
ENDINGS: Final = (".ndjson", ".ndjson.gz", ".ndjson.zst", ".parquet")
ACCOUNTS_MIN, ACCOUNTS_MAX = 50, 9_999_999  # their numbers have seven digits
DAYS_MIN, DAYS_MAX = 3, 3_660
FRAUD_SHARE: Final = 0.0006
FRAUD_SHARE_RANGE: Final = (0.0002, 0.001)


def generate(
    path: Path,
    *,
    accounts: int = 1_000,
    days: int = 28,
    rate: float = 4.0,
    seed: int = 1,
    start: str = "2026-03-02",
    fraud_share: float = FRAUD_SHARE,
    out_of_order: float = 0.01,
    late: float = 0.0,
    duplicates: float = 0.0,
    bad_lines: float = 0.0,
    progress: Callable[[int], None] | None = None,
) -> Truth:
    """Write a recording to `path` and the truth beside it (`NAME.truth.ndjson`); the same seed gives the same bytes.

    accounts     : how many; four fifths are main accounts of a customer
    days         : from `start`, a date, midnight in Shanghai; fraud begins after a third of them, a week at most
    rate         : transactions an account makes a day on average
    fraud_share  : of all transactions, those of attempts at fraud: 0, or in [0.0002, 0.001]; small banks have more,
                   because every typology has an easy and a hard attempt
    out_of_order : share of transactions that arrive up to 14 minutes after their event time
    late         : share that arrives 16 to 90 minutes after it, which is beyond the shipped lateness
    duplicates   : share whose message arrives a second time within six hours
    bad_lines    : lines that cannot be read, as a share of the transactions; not in Parquet
    progress     : called after each day with the number of messages written since

    The suffix of `path` chooses the form: .ndjson, .ndjson.gz, .ndjson.zst or .parquet. Messages stand in the order of
    arrival. Memory is bounded by about one day of traffic. Byte identity holds for one version of numpy, and of pyarrow
    or zlib where they pack. An impossible wish is a `ConfigError`.
    """
    _check_name(path, bad_lines)
    _check(accounts, days, rate, fraud_share)
    _check_seed(seed)
    _check_shares(out_of_order=out_of_order, late=late, duplicates=duplicates, bad_lines=bad_lines)
    start_us = _start_us(start)
    population = make_population(seed, accounts, rate, start_us)
    plan = make_plan(population, seed, days, fraud_share)
    recording = Recording(
        population,
        seed,
        days,
        plan,
        Habits(population, seed, days, trips(plan)),
        Aftermath(population, seed, days, plan),
        Noise(out_of_order, late, duplicates, bad_lines),
    )
    fields = messages.fields([typology.name for typology in TYPOLOGIES])
    packed = path.suffix == ".parquet"
    n_told = 0
    truth_path(path).unlink(missing_ok=True)  # that of an earlier recording; this one may end early
    with ParquetFile(path, fields) if packed else NdjsonFile(path, Renderer(fields)) as file:
        recording.begin(file)
        for day in range(days):
            recording.record(day, file)
            if progress is not None:
                progress(recording.n_lines - n_told)
            n_told = recording.n_lines
    marks = tuple(recording.marks)
    seen = {mark.attempt for mark in marks}
    truth = Truth(
        marks,
        recording.n_lines,
        recording.n_transactions,
        recording.n_by_kind,
        tuple(attempt.name for attempt in plan if attempt.name not in seen),
    )
    truth.write(truth_path(path))
    return truth


def accounts_of(customers: int) -> int:
    """How many accounts a bank of so many `customers` has: five for four of them."""
    return -(-5 * customers // 4)


def _start_us(start: str) -> int:
    """Local midnight of a date such as 2026-03-02, in microseconds UTC."""
    try:
        day = date.fromisoformat(start)
    except ValueError:
        day = None
    if day is None or day.isoformat() != start or not 1992 <= day.year <= 2100:
        raise ConfigError(
            f"`start` must be a date of the years 1992 to 2100, was {start}",
            "weir generate",
            "the recording begins at midnight of that day in Shanghai, which has kept one offset since 1991",
            "write it like 2026-03-02",
        )
    return int(datetime(day.year, day.month, day.day, tzinfo=ZONE).timestamp()) * 1_000_000


def _check_name(path: Path, bad_lines: float) -> None:
    if not path.name.endswith(ENDINGS):
        raise ConfigError(
            f"the name of the file must end in one of {', '.join(ENDINGS)}, was {path.name}",
            "weir generate",
            "the name says what a file is, and what reads it goes by that",
            "name it bank.ndjson",
        )
    if bad_lines and path.suffix == ".parquet":
        raise ConfigError(
            f"a Parquet file cannot hold broken lines, `bad_lines` was {bad_lines}",
            "weir generate",
            "a table has no place for what cannot be taken apart",
            "write NDJSON, or leave the broken lines out",
        )


def _check(accounts: int, days: int, rate: float, fraud_share: float) -> None:
    for name, n, least, most in (
        ("accounts", accounts, ACCOUNTS_MIN, ACCOUNTS_MAX),
        ("days", days, DAYS_MIN, DAYS_MAX),
    ):
        if not least <= n <= most:
            raise ConfigError(
                f"`{name}` must lie in [{least:,}, {most:,}], was {n:,}",
                "weir generate",
                "each kind of attempt needs victims of its own and days to unfold",
                f"ask for {'more' if n < least else 'fewer'} {name}"
                + ("; 40 customers have 50 accounts" if name == "accounts" else ""),
            )
    if not 0.2 <= rate <= 100:
        raise ConfigError(
            f"`rate` must lie in [0.2, 100], was {rate}",
            "weir generate",
            "it is the number of transactions an account makes a day on average",
            "for more traffic ask for more accounts",
        )
    low, high = FRAUD_SHARE_RANGE
    if fraud_share and not low <= fraud_share <= high:
        raise ConfigError(
            f"`fraud_share` must be 0 or lie in [{low}, {high}], was {fraud_share}",
            "weir generate",
            "banks see 2 to 10 frauds in 10,000 transactions, and rules tuned on more promise too much",
            f"leave it out, which means {FRAUD_SHARE}",
        )


def _check_seed(seed: int) -> None:
    if seed < 0:
        raise ConfigError(
            f"`seed` must be 0 or more, was {seed}",
            "weir generate",
            "it numbers the banks that can be drawn",
            "leave it out, or give another",
        )


def _check_shares(**shares: float) -> None:
    for name, share in shares.items():
        if not 0.0 <= share <= 0.5:
            raise ConfigError(
                f"`{name}` must lie in [0, 0.5], was {share}",
                "weir generate",
                "it is a share of the transactions",
                f"give `{name}` as a fraction, 0.01 for one in a hundred",
            )
