"""Output folders for reports, what stands on a page, and an oracle that counts streams its own way.

The oracle reads NDJSON with json, money with fractions and days with zoneinfo; it shares no line with replay/report/.
"""

import json
import random
import re
from collections import Counter
from datetime import datetime, timedelta
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from zoneinfo import ZoneInfo

import yaml

from engine import cli
from tests.auditing import small_bank

ZONE = ZoneInfo("Asia/Shanghai")
SCRIPT = "<script>alert(\"rule\")</script> & 'more'"
IMAGE = '"><img src=x onerror=alert(1)>'
COUNTRY = "</td><b>CN"
DIGITS = {"CNY": 2, "USD": 2, "JPY": 0}
START = datetime(2026, 3, 2, 14, 30, tzinfo=ZoneInfo("UTC"))


def bank(folder: Path, **settings: str) -> Path:
    """A small bank whose rule names and merchants are hostile to pages."""
    made = small_bank(folder, **settings)
    path = made / "packs" / "one" / "rules.yaml"
    text = path.read_text()
    text = text.replace("name: A big payment", f"name: {json.dumps(SCRIPT)}")
    text = text.replace("dedup: {by: account, for: 1h}", "dedup: {by: merchant, for: 12h}", 1)
    text = text.replace(
        "when: amount >= $big and", "when: merchant is present and amount >= $big and"
    )
    path.write_text(text)
    return made


def traffic(path: Path, n: int = 500, hours: float = 60.0) -> Path:
    """Payments of three business days: two currencies, hostile merchants and countries, labels, broken and repeated ones."""
    rng = random.Random(7)
    lines = []
    sent: list[dict] = []
    at = START
    for i in range(n):
        at += timedelta(hours=rng.expovariate(n / hours))
        event_time = f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
        record = {
            "transaction_id": f"t-{i}",
            "account": f"A{rng.randrange(12):02d}",
            "event_time": event_time,
            "type": "payment",
            "direction": "out",
            "amount": f"{rng.randrange(1, 130_000) / 100:.2f}",
            "currency": "CNY",
        }
        if rng.random() < 0.7:
            record["merchant"] = rng.choice([IMAGE, "M1", "M2"])
        if rng.random() < 0.8:
            record["country"] = rng.choice([COUNTRY, "CN", "HK"])
        if rng.random() < 0.1:
            record |= {"currency": "USD", "amount": f"{rng.randrange(1, 20_000) / 100:.2f}"}
        if rng.random() < 0.02:
            record["currency"] = "JPY" if rng.random() < 0.5 else "XAU"
            record["amount"] = "700"
        chance = rng.random()
        if chance < 0.03:
            record["amount"] = f"a lot {IMAGE}"
        lines.append(json.dumps(record))
        if 0.03 <= chance < 0.06:
            lines.append(lines[-1])
        sent.append(record)
        if rng.random() < 0.4:
            about = rng.choice(sent[-60:])
            told = {key: about[key] for key in ("transaction_id", "account")}
            label = rng.choice(["fraud", "genuine", "genuine", "withdrawn"])
            told |= {"kind": "label", "label": label, "event_time": event_time}
            if label == "fraud" and rng.random() < 0.6:
                told["typology"] = rng.choice(["mule", "card<testing>"])
            lines.append(json.dumps(told))
    path.write_text("\n".join(lines) + "\n")
    return path


def replayed(folder: Path, *options: str, **settings: str) -> Path:
    """An output folder of that traffic."""
    out = folder / "out"
    command = ["replay", str(traffic(folder / "traffic.ndjson")), "--out", str(out), "--json"]
    made = bank(folder / "bank", **settings)
    assert cli.main([*command, "--config", str(made), "--batch-rows", "64", *options]) == 0
    return out


def ndjson(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class Oracle:
    """What a folder says of each business day, counted from its files and from the traffic that was sent."""

    def __init__(self, out: Path, sent: Path, rates: Path) -> None:
        self.decisions = ndjson(out / "decisions.ndjson")
        self.alerts = ndjson(out / "alerts.ndjson")
        self.messages: dict[tuple[str, str], dict] = {}
        dead = {d["message"] for d in ndjson(out / "dead_letters.ndjson") if "message" in d}
        self.labels: dict[tuple[str, str], dict] = {}
        known: set[tuple[str, str]] = set()
        for line in sent.read_text().splitlines():
            record = json.loads(line)
            identity = record["account"], record["transaction_id"]
            if record.get("kind") == "label":
                if line in dead:
                    continue
                self.labels.pop(identity, None)
                if record["label"] != "withdrawn":
                    self.labels[identity] = record
            elif identity not in known:
                known.add(identity)
                self.messages[identity] = record
        table = yaml.load(rates.read_text(), yaml.BaseLoader)
        self.base, zone = table["base"], ZoneInfo(table.get("timezone", "UTC"))
        self.rates = [
            (datetime.fromisoformat(e["from"]).replace(tzinfo=zone), e) for e in table["entries"]
        ]

    def minor(self, decision: dict) -> int | None:
        """The amount of a decided transaction in fen; None where nobody knows."""
        message = self.messages[decision["account"], decision["transaction_id"]]
        amount, currency = message["amount"], message["currency"]
        if not re.fullmatch(r"\d+(\.\d+)?", amount) or currency not in DIGITS:
            return None
        price = Fraction(1)
        if currency != "CNY":
            at = datetime.fromisoformat(decision["event_time"])
            price = Fraction(
                next(
                    e[currency]
                    for since, e in reversed(self.rates)
                    if since <= at and currency in e
                )
            )
        return round(Fraction(amount) * price * 100)

    def label(self, record: dict) -> str:
        return self.labels.get((record["account"], record["transaction_id"]), {}).get("label", "")

    def day(self, record: dict) -> str:
        return datetime.fromisoformat(record["event_time"]).astimezone(ZONE).date().isoformat()

    def of(self, day: str) -> list[dict]:
        return [d for d in self.decisions if self.day(d) == day]

    @property
    def days(self) -> list[str]:
        return sorted({self.day(d) for d in self.decisions})

    def money(self, decisions: list[dict]) -> int:
        return sum(self.minor(d) or 0 for d in decisions)

    def stopped(self, decisions: list[dict]) -> list[dict]:
        return [d for d in decisions if d["decision"] in ("challenge", "hold", "decline")]

    def opened(self, day: str) -> list[dict]:
        return [a for a in self.alerts if a["kind"] == "rule" and self.day(a) == day]

    def verdict_of(self, alert_id: str) -> str:
        labels = {
            self.label(a)
            for a in self.alerts
            if a["alert_id"] == alert_id and a.get("transaction_id")
        }
        return "fraud" if "fraud" in labels else "genuine" if "genuine" in labels else ""

    def fired(self, day: str) -> Counter:
        return Counter(f["rule"] for d in self.of(day) for f in d["fired"])

    def region(self, decision: dict) -> str:
        message = self.messages[decision["account"], decision["transaction_id"]]
        return message.get("country", "not told")


class Page(HTMLParser):
    """A page taken apart: tags, attributes, texts, tables; raises where tags do not match."""

    VOID = ("meta", "br", "link", "img", "input", "hr")

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.tables: list[tuple[str, list[list[str]]]] = []  # heading of the section, rows
        self.text = ""
        self._open: list[str] = []
        self._heading = ""
        self._cell: str | None = None
        self.feed(text)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag in self.VOID:
            return
        self._open.append(tag)
        if tag == "h2":
            self._heading = ""
        elif tag == "table":
            self.tables.append((self._heading, []))
        elif tag == "tr":
            self.tables[-1][1].append([])
        elif tag in ("td", "th"):
            self._cell = ""

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag, f"</{tag}> in {self.getpos()}"
        if tag in ("td", "th") and self._cell is not None:
            self.tables[-1][1][-1].append(" ".join(self._cell.split()))
            self._cell = None

    def handle_data(self, data):
        self.text += data
        if self._open and self._open[-1] == "h2":
            self._heading += data
        if self._cell is not None and "title" not in self._open[-1:]:
            self._cell += data

    def rows(self, heading: str) -> list[list[str]]:
        """Every row of every table of a section."""
        return [row for section, rows in self.tables if section == heading for row in rows]

    def row(self, heading: str, name: str) -> list[str]:
        return next(row for row in self.rows(heading) if row[0] == name)


def number(text: str) -> int:
    """A count, or the hundredths of an amount."""
    return int(re.sub(r"[^0-9-]", "", text))
