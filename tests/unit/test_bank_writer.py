"""Columns of generated rows become the lines and the Parquet file that a plain Python rendering of them would be."""

import datetime as dt
import itertools
import json
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest

from config.money import EXPONENTS
from replay.bank import kernels, messages, table
from replay.bank.merchants import CASH_MACHINE, CATEGORIES
from replay.bank.parquet import ParquetFile
from replay.bank.places import CITIES, COUNTRIES, MOBILE_ADDRESS
from replay.bank.population import FRESH
from replay.bank.recording import _split
from replay.bank.table import OUTSIDE, Table
from replay.bank.writer import N_DAMAGES, NdjsonFile, Renderer, Slice, damaged

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
TYPOLOGIES = ("card_testing", "mule")
START_US = 1_772_380_800_000_000  # 2026-03-02 00:00 in Shanghai
N_ACCOUNTS = 40


def bank():
    """As much of a population as messages look at."""
    rng = np.random.default_rng(3)
    n, c, m = N_ACCOUNTS, 30, 25
    return SimpleNamespace(
        start_us=START_US,
        n_accounts=n,
        n_customers=c,
        customer=np.concatenate([np.arange(c), rng.integers(0, c, n - c)]),
        joint=np.where(rng.random(n) < 0.3, rng.integers(0, c, n), -1),
        segment=rng.integers(0, 6, c),
        is_legal=rng.integers(0, 2, c),
        birth_year=np.where(rng.random(c) < 0.2, -1, rng.integers(1936, 2006, c)),
        is_vulnerable=rng.integers(0, 2, c),
        account_segment=rng.integers(0, 6, n),
        product=rng.integers(0, 3, n),
        opened_us=START_US - rng.integers(0, 4_000 * 86_400_000_000, n),
        last_active_us=START_US - rng.integers(0, 90 * 86_400_000_000, n),
        n_cards=rng.integers(0, 3, n),
        merchants=SimpleNamespace(
            category=rng.integers(0, len(CATEGORIES), m), country=rng.integers(0, 12, m)
        ),
    )


def maybe(rng, n, values):
    """`values`, four in ten of them missing."""
    return np.where(rng.random(n) < 0.4, -1, values)


def transactions(n=2_000, seed=1):
    rng = np.random.default_rng(seed)
    currency = rng.integers(0, len(table.CURRENCIES), n)
    shop = maybe(rng, n, rng.integers(0, 25, n))
    machine = maybe(rng, n, CASH_MACHINE + rng.integers(0, 900, n))
    other = np.where(
        rng.random(n) < 0.5,
        rng.integers(0, N_ACCOUNTS, n),
        OUTSIDE + rng.choice([0, 7, 999_999, (1 << 32) + 640_003], n),
    )
    ip = rng.choice([0, 29, 255, 256, 16_777_215, 100_000_000, 101_638_399, 500_000_000], n)
    rows = Table.of(
        table.TRANSACTION_COLUMNS,
        n,
        time_us=START_US + rng.integers(0, 90 * 86_400_000, n) * 1_000,
        type=rng.integers(0, len(table.TYPES), n),
        account=rng.integers(0, N_ACCOUNTS, n),
        card=maybe(rng, n, rng.integers(0, 80, n)),
        amount=np.where(rng.random(n) < 0.1, rng.integers(0, 120, n), rng.integers(0, 10**9, n)),
        currency=currency,
        is_in=rng.integers(0, 2, n),
        status=rng.integers(0, len(table.STATUSES), n),
        channel=rng.integers(0, len(table.CHANNELS), n),
        entry_mode=maybe(rng, n, rng.integers(0, len(table.ENTRY_MODES), n)),
        auth_method=maybe(rng, n, rng.integers(0, len(table.AUTH_METHODS), n)),
        merchant=shop,
        terminal=np.where(shop >= 0, maybe(rng, n, 4 * shop), machine),
        counterparty=maybe(rng, n, other),
        counterparty_country=maybe(rng, n, rng.integers(0, 12, n)),
        device=maybe(rng, n, rng.choice([0, 89, 490_000_003, 500_000_064], n)),
        ip=maybe(rng, n, ip),
        ip_country=maybe(rng, n, rng.integers(0, 12, n)),
        city=maybe(rng, n, rng.integers(0, len(CITIES), n)),
        original=maybe(rng, n, rng.integers(0, 10**9, n)),
        purpose=maybe(rng, n, rng.integers(0, len(table.PURPOSES), n)),
    )
    before = rng.choice([-1, 0, 1, -99, 100, -12_345_678, 1 << 53, -(1 << 53)], n)
    rows.columns |= {"number": np.arange(n) * 4_999_999, "before": before}
    return rows


def account(number):
    return f"A{number + 1:07d}" if number < OUTSIDE else f"X{number - OUTSIDE:010d}"


def instant(time_us):
    moment = EPOCH + dt.timedelta(microseconds=int(time_us))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def local_date(time_us):
    zone = dt.timezone(dt.timedelta(hours=8))
    return (EPOCH + dt.timedelta(microseconds=int(time_us))).astimezone(zone).date().isoformat()


def major(minor, currency="CNY"):
    digits = EXPONENTS[currency]
    return str(Decimal(int(minor)).scaleb(-digits)) if digits else str(int(minor))


def address(number):
    if number < 100_000_000:
        net, rest = 10 * 2**24, number % 2**24
    elif number < 500_000_000:
        net, rest = 240 * 2**24, (number - 100_000_000) % 2**24
    else:
        net, rest = 100 * 2**24 + 64 * 2**16, (number - 500_000_000) % 2**22
    return ".".join(str((net + rest) >> shift & 255) for shift in (24, 16, 8, 0))


def expected_transaction(p, r):
    """The message of a row, a dict of its columns, written as a person would."""
    shop = r["merchant"]
    message = {
        "kind": "transaction",
        "transaction_id": f"t{r['number']:010d}",
        "event_time": instant(r["time_us"]),
        "type": table.TYPES[r["type"]],
        "account": account(r["account"]),
        "customer": f"K{p.customer[r['account']] + 1:07d}",
        "amount": major(r["amount"], table.CURRENCIES[r["currency"]]),
        "currency": table.CURRENCIES[r["currency"]],
        "direction": "in" if r["is_in"] else "out",
        "status": table.STATUSES[r["status"]],
        "channel": table.CHANNELS[r["channel"]],
    }
    if message["channel"] == "file":
        del message["customer"]
    texts = {
        "card": lambda v: f"C{v:08d}",
        "entry_mode": table.ENTRY_MODES.__getitem__,
        "auth_method": table.AUTH_METHODS.__getitem__,
        "merchant": lambda v: f"M{v:06d}",
        "terminal": lambda v: f"T{v:08d}",
        "counterparty": account,
        "counterparty_country": COUNTRIES.__getitem__,
        "device": lambda v: f"D{v:09d}",
        "ip": address,
        "ip_country": COUNTRIES.__getitem__,
        "purpose": table.PURPOSES.__getitem__,
    }
    message |= {key: text(r[key]) for key, text in texts.items() if r[key] >= 0}
    if r["original"] >= 0:
        message["original_transaction_id"] = f"t{r['original']:010d}"
    if shop >= 0:
        message["mcc"] = CATEGORIES[p.merchants.category[shop]].mcc
        message["merchant_country"] = COUNTRIES[p.merchants.country[shop]]
    elif r["terminal"] >= 0:
        message["mcc"] = "6011"
    if r["counterparty"] >= 0 and not r["is_in"]:
        message["payee"] = account(r["counterparty"])
    if r["city"] >= 0:
        city = CITIES[r["city"]]
        message["country"] = COUNTRIES[city.country]
        if r["terminal"] >= 0:
            spot = (shop if shop >= 0 else r["terminal"]) + 1
            message["lat"] = round(city.lat + (spot * 7_919 % 200 - 100) / 2_000, 4)
            message["lon"] = round(city.lon + (spot * 6_271 % 200 - 100) / 2_000, 4)
    message["balance_before"] = major(r["before"])
    return message


def expected_update(r):
    message = {
        "kind": "update",
        "event_time": instant(r["arrival_us"]),
        "update_id": f"u{r['update']:010d}",
        "transaction_id": f"t{r['number']:010d}",
        "account": account(r["account"]),
        "status": table.UPDATE_STATUSES[r["status"]],
    }
    if r["amount"] >= 0:
        currency = table.CURRENCIES[r["currency"]]
        message |= {"amount": major(r["amount"], currency), "currency": currency}
    return message


def expected_activity(p, r):
    message = {
        "kind": "activity",
        "event_time": instant(r["time_us"]),
        "type": table.ACTIVITIES[r["type"]],
        "account": account(r["account"]),
        "customer": f"K{p.customer[r['account']] + 1:07d}",
    }
    texts = {
        "device": lambda v: f"D{v:09d}",
        "ip": address,
        "ip_country": COUNTRIES.__getitem__,
        "payee": account,
    }
    message |= {key: text(r[key]) for key, text in texts.items() if r[key] >= 0}
    if r["city"] >= 0:
        message["country"] = COUNTRIES[CITIES[r["city"]].country]
    if r["duration_s"] >= 0:
        message["duration"] = int(r["duration_s"])
    return message


def updates(n=300, seed=2):
    rng = np.random.default_rng(seed)
    return Table(
        n,
        {
            "arrival_us": START_US + rng.integers(0, 10**9, n) * 1_000,
            "number": rng.integers(0, 10**7, n),
            "account": rng.integers(0, N_ACCOUNTS, n),
            "status": rng.integers(0, len(table.UPDATE_STATUSES), n),
            "amount": maybe(rng, n, rng.integers(0, 10**6, n)),
            "currency": rng.integers(0, len(table.CURRENCIES), n),
            "update": np.arange(n),
        },
    )


def activities(n=300, seed=4):
    rng = np.random.default_rng(seed)
    return Table.activities(
        n,
        time_us=START_US + rng.integers(0, 10**9, n) * 1_000,
        type=rng.integers(0, len(table.ACTIVITIES), n),
        account=rng.integers(0, N_ACCOUNTS, n),
        device=maybe(rng, n, rng.integers(0, 90, n)),
        ip=maybe(rng, n, rng.integers(0, 30, n)),
        ip_country=maybe(rng, n, rng.integers(0, 12, n)),
        city=maybe(rng, n, rng.integers(0, len(CITIES), n)),
        payee=maybe(rng, n, OUTSIDE + rng.integers(0, 10**6, n)),
        duration_s=maybe(rng, n, rng.integers(0, 9_000, n)),
    )


def records(rows):
    """The rows of a table as dicts of Python numbers."""
    columns = {name: column.tolist() for name, column in rows.columns.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def rendered(kind, rows, p=None):
    """Lines of a table of one kind, as bytes."""
    part = Slice(
        np.full(rows.n, kind),
        np.arange(rows.n),
        {kind: messages.Columns(p or bank()).of(kind, rows)},
    )
    out, end = Renderer(messages.fields(TYPOLOGIES)).render(part)
    assert end[-1] == len(out)
    return [out[a:b].tobytes() for a, b in zip([0, *end[:-1]], end, strict=True)]


def mixed():
    """A slice with messages of three kinds in turn, and the messages expected."""
    p, columns = bank(), messages.Columns(bank())
    tables = {
        messages.TRANSACTION: transactions(300),
        messages.ACTIVITY: activities(300),
        messages.UPDATE: updates(300),
    }
    made = {
        messages.TRANSACTION: lambda r: expected_transaction(p, r),
        messages.ACTIVITY: lambda r: expected_activity(p, r),
        messages.UPDATE: expected_update,
    }
    kind = np.random.default_rng(8).permutation(np.repeat(list(tables), 300))
    row = np.empty(900, np.int64)
    wanted = [{}] * 900
    for k, rows in tables.items():
        row[kind == k] = np.arange(300)
        for i, record in zip(np.flatnonzero(kind == k), records(rows), strict=True):
            wanted[i] = made[k](record)
    return Slice(kind, row, {k: columns.of(k, t) for k, t in tables.items()}), wanted


def test_a_line_says_what_json_would_say_of_the_same_row():
    p, rows = bank(), transactions()
    for line, record in zip(rendered(messages.TRANSACTION, rows), records(rows), strict=True):
        assert line.endswith(b"}\n")
        assert json.loads(line) == expected_transaction(p, record)


def test_kinds_are_rendered_in_one_pass_in_the_order_given():
    part, wanted = mixed()
    out, _ = Renderer(messages.fields(TYPOLOGIES)).render(part)
    assert [json.loads(line) for line in out.tobytes().splitlines()] == wanted


def test_lines_have_no_spaces_and_the_keys_stand_in_the_order_of_the_fields():
    order = [field.key for field in messages.fields(TYPOLOGIES)[messages.TRANSACTION]]
    for line in rendered(messages.TRANSACTION, transactions(200)):
        message = json.loads(line)
        assert list(message) == [key for key in order if key in message]
        # coordinates show four decimals, which json.dumps does not
        for name in ("lat", "lon"):
            if name in message:
                assert f'"{name}":{message[name]:.4f}'.encode() in line
                del message[name]
        if "country" not in message:
            assert line == json.dumps(message, separators=(",", ":")).encode() + b"\n"


def test_one_line_of_each_kind_is_written_exactly_like_this():
    p = bank()
    p.merchants.category[3], p.merchants.country[3] = 0, 0
    p.customer[4] = 4
    row = Table.transactions(
        1,
        time_us=START_US + 1_001_000,
        type=table.CARD_AUTH,
        account=4,
        card=8,
        amount=1_205,
        currency=table.JPY,
        amount_cny=5_543,
        status=table.REQUESTED,
        channel=table.POS,
        entry_mode=table.CHIP,
        auth_method=table.PIN,
        merchant=3,
        terminal=13,
        city=0,
    )
    row.columns |= {"number": np.array([17]), "before": np.array([-5])}
    assert rendered(messages.TRANSACTION, row, p) == [
        (
            b'{"kind":"transaction","transaction_id":"t0000000017","event_time":"2026-03-01T16:00:01.001Z",'
            b'"type":"card_auth","account":"A0000005","customer":"K0000005","amount":"1205","currency":"JPY",'
            b'"direction":"out","status":"requested","channel":"pos","card":"C00000008","entry_mode":"chip",'
            b'"auth_method":"pin","merchant":"M000003","terminal":"T00000013","mcc":"5411","merchant_country":"CN",'
            b'"country":"CN","lat":31.2180,"lon":121.4620,"balance_before":"-0.05"}\n'
        )
    ]
    act = Table.activities(
        1, time_us=START_US, type=table.PHONE_SESSION, account=4, device=12, ip=4, ip_country=0, city=0, duration_s=90
    )  # fmt: skip
    assert rendered(messages.ACTIVITY, act, p) == [
        (
            b'{"kind":"activity","event_time":"2026-03-01T16:00:00.000Z","type":"phone_session","account":"A0000005",'
            b'"customer":"K0000005","device":"D000000012","ip":"10.0.0.4","ip_country":"CN","country":"CN",'
            b'"duration":90}\n'
        )
    ]
    update = Table.of(
        (*table.UPDATE_COLUMNS, "update"),
        1,
        arrival_us=START_US,
        number=17,
        account=4,
        status=table.UPDATED_REVERSED,
        update=3,
    )
    assert rendered(messages.UPDATE, update, p) == [
        (
            b'{"kind":"update","event_time":"2026-03-01T16:00:00.000Z","update_id":"u0000000003",'
            b'"transaction_id":"t0000000017","account":"A0000005","status":"reversed"}\n'
        )
    ]
    label = Table.of(
        table.LABEL_COLUMNS,
        1,
        arrival_us=START_US,
        number=17,
        account=4,
        label=table.FRAUD,
        source=table.POLICE,
        typology=1,
    )
    assert rendered(messages.LABEL, label, p) == [
        (
            b'{"kind":"label","event_time":"2026-03-01T16:00:00.000Z","transaction_id":"t0000000017",'
            b'"account":"A0000005","label":"fraud","source":"police","typology":"mule"}\n'
        )
    ]


def test_profiles_tell_customers_accounts_and_cards_once_each():
    p = bank()
    columns = messages.Columns(p)
    found = {k: [json.loads(x) for x in rendered(k, t, p)] for k, t in columns.profiles().items()}
    customers, accounts, cards = (found[k] for k in messages.PROFILES)
    assert all(m["kind"] == "profile" for lines in found.values() for m in lines)
    assert [m["customer"] for m in customers] == [f"K{c + 1:07d}" for c in range(30)]
    for c, message in enumerate(customers):
        assert message.get("is_vulnerable", False) == bool(p.is_vulnerable[c])
        assert message.get("birth_date", "-1")[:4] in (str(p.birth_year[c]), "-1")
        assert message["person"] == ("legal" if p.is_legal[c] else "natural")
        own = p.opened_us[p.customer == c]
        assert message["customer_since"] == local_date(min([START_US, *own]))
    for a, message in enumerate(accounts):
        assert message["account"] == account(a)
        assert message["customer"] == f"K{p.customer[a] + 1:07d}"
        assert message["opened_on"] == local_date(p.opened_us[a])
        assert message["last_active_on"] == local_date(p.last_active_us[a])
        assert ("joint" in message) == (p.joint[a] >= 0)
    held = [f"C{2 * a + k:08d}" for a in range(N_ACCOUNTS) for k in range(p.n_cards[a])]
    assert [m["card"] for m in cards] == held
    for message in cards:
        a = int(message["account"][1:]) - 1
        assert local_date(p.opened_us[a]) <= message["issued_on"] <= local_date(START_US)


def values_of(form, values, width=0):
    values = np.asarray(values, np.int64)
    n = len(values)
    out, end = np.empty(n * 40 + 32, np.uint8), np.empty(n + 1, np.int64)
    none = np.zeros(1, np.int64)
    places = np.full(n, width)
    kernels.render_values(values, form, places, np.zeros(16, np.uint8), 0, none, none, out, end)
    return [out[a:b].tobytes().decode() for a, b in itertools.pairwise(end)]


def test_times_and_dates_are_those_of_datetime():
    rng = np.random.default_rng(5)
    times = rng.integers(0, 7_258_118_400_000, 3_000) * 1_000
    times[:4] = [0, 951_782_399_999_000, 951_782_400_000_000, 4_107_542_399_999_000]  # leap days
    assert values_of(kernels.TIME, times) == [instant(t) for t in times]
    days = np.append(rng.integers(-25_567, 84_000, 3_000), [-1, 0, -25_567, 11_016])
    wanted = [(dt.date(1970, 1, 1) + dt.timedelta(days=int(d))).isoformat() for d in days]
    assert values_of(kernels.DAY, days) == wanted


@pytest.mark.parametrize("digits", [0, 2, 3])
def test_money_is_the_exact_decimal(digits):
    rng = np.random.default_rng(6)
    minor = np.concatenate([rng.integers(-(10**7), 10**7, 2_000), [0, 1, -1, 99, -100, 1 << 53]])
    wanted = [f"{Decimal(int(m)).scaleb(-digits):f}" for m in minor]
    assert values_of(kernels.SIGNED, minor, digits) == wanted


def test_numbers_are_padded_and_grow_beyond_their_width():
    numbers = [0, 9, 10, 99, 100, 12_345, 9_999_999, 10_000_000, (1 << 62)]
    for width in (0, 1, 4, 7):
        assert values_of(kernels.NUMBER, numbers, width) == [f"{n:0{width}d}" for n in numbers]


def test_balances_are_booked_one_movement_after_the_other():
    rng = np.random.default_rng(7)
    whose, moved = rng.integers(0, 9, 500), rng.integers(-100, 100, 500)
    balance, before = np.zeros(9, np.int64), np.empty(500, np.int64)
    kernels.book(whose, moved, balance, before)
    held = dict.fromkeys(range(9), 0)
    for account_, amount, seen in zip(whose.tolist(), moved.tolist(), before.tolist(), strict=True):
        assert held[account_] == seen
        held[account_] += amount
    assert balance.tolist() == list(held.values())


def test_a_parquet_file_holds_the_messages_of_the_lines(tmp_path):
    part, wanted = mixed()
    with ParquetFile(tmp_path / "x.parquet", messages.fields(TYPOLOGIES)) as file:
        file.write(part)
        file.write(part)
    rows = pq.read_table(tmp_path / "x.parquet").to_pylist()
    assert len(rows) == 2 * len(wanted)
    for row, message in zip(rows, wanted * 2, strict=True):
        told = {key: value for key, value in row.items() if value is not None}
        told["event_time"] = told["event_time"].isoformat(timespec="milliseconds")[:-6] + "Z"
        assert told == message


def test_flags_of_profiles_reach_the_parquet_file(tmp_path):
    p = bank()
    columns = messages.Columns(p)
    rows = columns.profiles()[messages.CUSTOMER_PROFILE]
    part = Slice(np.full(rows.n, messages.CUSTOMER_PROFILE), np.arange(rows.n), {
        messages.CUSTOMER_PROFILE: columns.of(messages.CUSTOMER_PROFILE, rows)
    })  # fmt: skip
    with ParquetFile(tmp_path / "x.parquet", messages.fields(TYPOLOGIES)) as file:
        file.write(part)
    told = pq.read_table(tmp_path / "x.parquet")["is_vulnerable"].to_pylist()
    assert told == [True if v else None for v in p.is_vulnerable.tolist()]


def test_broken_copies_stand_in_their_place_and_the_other_lines_are_untouched(tmp_path):
    part, _ = mixed()
    fields = messages.fields(TYPOLOGIES)
    with NdjsonFile(tmp_path / "a.ndjson", Renderer(fields)) as file:
        file.write(part)
    part.damaged = {0: 6, 5: 0, 6: 5, 899: 2}
    with NdjsonFile(tmp_path / "b.ndjson", Renderer(fields)) as file:
        file.write(part)
    plain, broken = ((tmp_path / n).read_bytes().splitlines() for n in ("a.ndjson", "b.ndjson"))
    assert broken == [
        damaged(line, part.damaged[k]) if k in part.damaged else line
        for k, line in enumerate(plain)
    ]


def test_every_way_of_breaking_a_transaction_changes_it():
    (line,) = rendered(messages.TRANSACTION, transactions(1))
    assert len({damaged(line, way) for way in range(N_DAMAGES)} | {line}) == N_DAMAGES + 1


def test_a_split_gives_what_is_due_in_order_of_time_and_keeps_the_rest():
    rng = np.random.default_rng(9)
    parts = [
        Table(n, {"time_us": rng.integers(0, 10**6, n), "x": rng.integers(0, 9, n)})
        for n in (0, 50, 70)
    ]
    pairs = [p for t in parts for p in zip(t["time_us"].tolist(), t["x"].tolist(), strict=True)]
    cut = [(time // 1_000 * 1_000, x) for time, x in pairs]
    due, rest = _split(parts, 500_000)
    assert list(zip(due["time_us"].tolist(), due["x"].tolist(), strict=True)) == sorted(
        (p for p in cut if p[0] < 500_000), key=lambda p: p[0]
    )
    (later,) = rest
    assert list(zip(later["time_us"].tolist(), later["x"].tolist(), strict=True)) == [
        p for p in cut if p[0] >= 500_000
    ]


def test_the_kernels_know_the_borders_between_numbers_that_the_bank_draws():
    """They repeat them: importing the population would compile them anew with every change of a habit."""
    assert (kernels.OUTSIDE, kernels.FRESH, kernels.MOBILE) == (OUTSIDE, FRESH, MOBILE_ADDRESS)
