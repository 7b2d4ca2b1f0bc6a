"""Tables of generated rows to lines of canonical NDJSON, one template for each shape of event.

Keys stand in the order of the templates; a field that an event does not have is left out.
"""

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from replay import table
from replay.population import CATEGORIES, CITIES, COUNTRY, SEGMENTS, Population
from replay.table import I8, Table

Texts: TypeAlias = list[str]

_HEAD: Final = (
    '{"kind":"transaction","transaction_id":"%s","event_time":"%s","type":"%s","account":"%s","customer":"%s",'
    '"amount":"%d.%02d","currency":"EUR","direction":"%s","status":"%s","channel":"%s","balance_before":"%s"'
)
_AT_TERMINAL: Final = (
    ',"card":"%s","entry_mode":"%s","merchant":"%s","terminal":"%s","mcc":"%s","merchant_country":"%s",'
    '"country":"%s","lat":%.4f,"lon":%.4f}'
)
_AT_CASH_MACHINE: Final = (
    ',"card":"%s","entry_mode":"%s","terminal":"%s","mcc":"6011","country":"%s"'
    ',"lat":%.4f,"lon":%.4f}'
)
_ONLINE: Final = (
    ',"card":"%s","entry_mode":"%s","merchant":"%s","mcc":"%s","merchant_country":"%s","country":"%s",'
    '"device":"%s","ip":"%s"}'
)
_REFUND: Final = ',"card":"%s","merchant":"%s","original_transaction_id":"%s"}'
_TRANSFER_IN: Final = ',"counterparty":"%s"}'
_TRANSFER_OUT: Final = ',"counterparty":"%s","payee":"%s"}'
_TRANSFER_OUT_BY_DEVICE: Final = ',"counterparty":"%s","payee":"%s","device":"%s","ip":"%s"}'
_CASH: Final = ',"country":"%s"}'
_ACTIVITY: Final = (
    '{"kind":"activity","event_time":"%s","type":"%s","account":"%s","customer":"%s","device":"%s","ip":"%s",'
    '"country":"%s"}'
)
_LABEL: Final = '{"kind":"label","event_time":"%s","transaction_id":"%s","account":"%s","label":"%s","source":"%s"}'
_UPDATE: Final = (
    '{"kind":"update","event_time":"%s","update_id":"u%s",'
    '"transaction_id":"%s","account":"%s","status":"reversed"}'
)


def times(time_us: I8) -> Texts:
    """RFC 3339 in UTC with milliseconds."""
    instant = time_us.astype("datetime64[us]").astype("datetime64[ms]")
    return [f"{text}Z" for text in np.datetime_as_string(instant).tolist()]


def account_text(number: int) -> str:
    return f"A{number + 1:06d}"


def transaction_text(number: int) -> str:
    return f"t{number:09d}"


def _choose(names: Iterable[str], index: I8) -> Texts:
    return [str(x) for x in np.array(list(names), object)[index]]


def _numbered(pattern: str, numbers: I8) -> Texts:
    return [pattern % number for number in numbers.tolist()]


def _addresses(numbers: I8) -> Texts:
    """Addresses inside 10.0.0.0/8, which belong to nobody."""
    return [f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in numbers.tolist()]


class Renderer:
    """Renders tables about one population."""

    def __init__(self, population: Population) -> None:
        n = population.n_accounts
        self._population = population
        self._accounts = np.array([account_text(a) for a in range(n)], object)
        self._customers = np.array([f"K{c + 1:06d}" for c in population.customer], object)
        self._codes = [category[0] for category in CATEGORIES]
        self._latitude = np.array([city[2] for city in CITIES])
        self._longitude = np.array([city[3] for city in CITIES])

    def transactions(self, rows: Table, number: I8, balance_before: I8) -> NDArray[Any]:
        """One line a row; `number` names the transaction, `balance_before` is in cents, below zero when overdrawn."""
        lines = np.empty(rows.n, object)
        online = rows["entry_mode"] == table.ECOMMERCE
        is_auth = rows["type"] == table.CARD_AUTH
        is_payment = rows["type"] == table.PAYMENT
        shapes = (
            (is_auth & ~online & (rows["merchant"] >= 0), _AT_TERMINAL, self._at_terminal),
            (is_auth & ~online & (rows["merchant"] < 0), _AT_CASH_MACHINE, self._at_cash_machine),
            (is_auth & online, _ONLINE, self._online),
            (rows["type"] == table.REFUND, _REFUND, self._refund),
            (is_payment & (rows["is_in"] == 1), _TRANSFER_IN, self._counterparty),
            (is_payment & (rows["is_in"] == 0) & (rows["device"] < 0), _TRANSFER_OUT, self._payee),
            (
                is_payment & (rows["is_in"] == 0) & (rows["device"] >= 0),
                _TRANSFER_OUT_BY_DEVICE,
                self._by_device,
            ),
            (rows["type"] == table.CASH_DEPOSIT, _CASH, self._country),
        )
        for mask, template, columns in shapes:
            index = np.flatnonzero(mask)
            if len(index):
                part = rows.take(index)
                head = self._head(part, number[index], balance_before[index])
                whole = _HEAD + template
                texts = [whole % row for row in zip(*head, *columns(part), strict=True)]
                lines[index] = [text.encode() for text in texts]
        return lines

    def activities(self, rows: Table) -> NDArray[Any]:
        """One line a row."""
        columns = (
            times(rows["time_us"]),
            _choose(table.ACTIVITIES, rows["type"]),
            self._accounts[rows["account"]].tolist(),
            self._customers[rows["account"]].tolist(),
            _numbered("D%08d", rows["device"]),
            _addresses(rows["ip"]),
            _choose(COUNTRY, rows["city"]),
        )
        lines = np.empty(rows.n, object)
        lines[:] = [(_ACTIVITY % row).encode() for row in zip(*columns, strict=True)]
        return lines

    def labels(self, arrival_us: I8, number: I8, account: I8, is_fraud: I8) -> NDArray[Any]:
        """Verdicts that arrive at `arrival_us` on the transactions `number`."""
        columns = (
            times(arrival_us),
            _numbered("t%09d", number),
            self._accounts[account].tolist(),
            _choose(("genuine", "fraud"), is_fraud),
            _choose(("analyst", "customer"), is_fraud),
        )
        lines = np.empty(len(number), object)
        lines[:] = [(_LABEL % row).encode() for row in zip(*columns, strict=True)]
        return lines

    def reversals(self, arrival_us: I8, number: I8, account: I8) -> NDArray[Any]:
        """Updates that take the transactions `number` back at `arrival_us`."""
        texts = _numbered("t%09d", number)
        columns = (times(arrival_us), texts, texts, self._accounts[account].tolist())
        lines = np.empty(len(number), object)
        lines[:] = [(_UPDATE % row).encode() for row in zip(*columns, strict=True)]
        return lines

    def profiles(self) -> list[bytes]:
        """Reference data of every account, customer and card, as of the start of the recording."""
        p = self._population
        at = times(np.array([p.start_us]))[0]
        opened = np.datetime_as_string(
            p.opened_us.astype("datetime64[us]").astype("datetime64[D]")
        ).tolist()
        lines = []
        for a in range(p.n_accounts):
            account, customer = self._accounts[a], self._customers[a]
            if a < p.n_customers:
                lines.append(
                    f'{{"kind":"profile","event_time":"{at}","customer":"{customer}",'
                    f'"segment":"{SEGMENTS[p.segment[a]]}","home_country":"{COUNTRY[p.city[a]]}",'
                    f'"birth_date":"{p.birth_year[a]}-07-01"}}'
                )
            lines.append(
                f'{{"kind":"profile","event_time":"{at}","account":"{account}","customer":"{customer}",'
                f'"opened_on":"{opened[a]}","segment":"{SEGMENTS[p.segment[a]]}"}}'
            )
            lines.extend(
                f'{{"kind":"profile","event_time":"{at}","card":"C{2 * a + k:08d}","account":"{account}",'
                f'"customer":"{customer}"}}'
                for k in range(int(p.n_cards[a]))
            )
        return [line.encode() for line in lines]

    def _head(self, rows: Table, number: I8, balance: I8) -> list[list[Any]]:
        return [
            _numbered("t%09d", number),
            times(rows["time_us"]),
            _choose(table.TYPES, rows["type"]),
            self._accounts[rows["account"]].tolist(),
            self._customers[rows["account"]].tolist(),
            (rows["amount"] // 100).tolist(),
            (rows["amount"] % 100).tolist(),
            _choose(("out", "in"), rows["is_in"]),
            _choose(table.STATUSES, rows["status"]),
            _choose(table.CHANNELS, rows["channel"]),
            [f"{'-' if b < 0 else ''}{abs(b) // 100}.{abs(b) % 100:02d}" for b in balance.tolist()],
        ]

    def _card(self, rows: Table) -> list[Texts]:
        return [_numbered("C%08d", rows["card"]), _choose(table.ENTRY_MODES, rows["entry_mode"])]

    def _place(self, rows: Table) -> list[list[Any]]:
        """Country and coordinates; shops stand up to 5 km around the middle of their city."""
        spread = rows["merchant"] + 1
        return [
            _choose(COUNTRY, rows["city"]),
            (self._latitude[rows["city"]] + (spread * 7_919 % 200 - 100) / 2_000).tolist(),
            (self._longitude[rows["city"]] + (spread * 6_271 % 200 - 100) / 2_000).tolist(),
        ]

    def _merchant(self, rows: Table) -> Texts:
        return _numbered("M%05d", rows["merchant"])

    def _shop(self, rows: Table) -> list[Texts]:
        shops = self._population.merchants
        return [
            _choose(self._codes, shops.category[rows["merchant"]]),
            _choose(COUNTRY, shops.country_city[rows["merchant"]]),
        ]

    def _at_terminal(self, rows: Table) -> list[list[Any]]:
        terminal = _numbered("T%08d", rows["terminal"])
        return [
            *self._card(rows),
            self._merchant(rows),
            terminal,
            *self._shop(rows),
            *self._place(rows),
        ]

    def _at_cash_machine(self, rows: Table) -> list[list[Any]]:
        return [*self._card(rows), _numbered("T%08d", rows["terminal"]), *self._place(rows)]

    def _online(self, rows: Table) -> list[list[Any]]:
        return [
            *self._card(rows),
            self._merchant(rows),
            *self._shop(rows),
            _choose(COUNTRY, rows["city"]),
            _numbered("D%08d", rows["device"]),
            _addresses(rows["ip"]),
        ]

    def _refund(self, rows: Table) -> list[Texts]:
        return [
            _numbered("C%08d", rows["card"]),
            self._merchant(rows),
            _numbered("t%09d", rows["original"]),
        ]

    def _counterparty(self, rows: Table) -> list[Texts]:
        return [_numbered("X%09d", rows["counterparty"])]

    def _payee(self, rows: Table) -> list[Texts]:
        payee = _numbered("X%09d", rows["counterparty"])
        return [payee, payee]

    def _by_device(self, rows: Table) -> list[Texts]:
        return [*self._payee(rows), _numbered("D%08d", rows["device"]), _addresses(rows["ip"])]

    def _country(self, rows: Table) -> list[Texts]:
        return [_choose(COUNTRY, rows["city"])]
