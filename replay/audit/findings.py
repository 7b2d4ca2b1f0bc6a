"""What a verification finds: one thing that is not as it should be, and where."""

from dataclasses import dataclass, field, replace
from typing import Final

from config.errors import WeirError
from replay.audit.tables import Cell, Section

HIDDEN: Final = "hidden"
# Fields of streams that name nobody; values of others are shown when somebody asks to reveal them.
OPEN: Final = frozenset(
    [
        *("seq", "n", "seq0", "first_seq", "event_time", "core_time", "started_at", "expires_at"),
        *("decision", "score", "models", "fired", "shadow", "excepted", "suppressed", "undecided"),
        *("reasons", "reason", "contributions", "restrictions", "alerts", "commands", "late"),
        *("config", "rule", "version", "severity", "queue", "verb", "level", "amount", "currency"),
        *("amount_minor", "effect", "kind", "revision", "day", "due_by", "count", "position"),
    ]
)
COLUMNS: Final = ("where", "what", "seq", "transaction", "field", "recorded", "derived")


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `where` is a path inside the output folder, with a byte or line where one is known.

    seq, transaction, field, recorded, derived : of a record that was compared with its derivation
    """

    where: str
    what: str
    seq: int | None = None
    transaction: str | None = None
    field: str | None = None
    recorded: str | None = None
    derived: str | None = None

    @classmethod
    def of(cls, error: WeirError, seq: int | None = None) -> "Finding":
        """What an error says that reading stopped with."""
        return cls(error.where, error.what, seq)

    def hidden(self) -> "Finding":
        """The same without values that may name somebody."""
        if self.field in OPEN or (self.recorded is None and self.derived is None):
            return self
        return replace(self, recorded=HIDDEN, derived=HIDDEN)

    def __str__(self) -> str:
        if self.field is None and self.recorded is None:
            return f"{self.where}: {self.what}"
        about = f", transaction {self.transaction}" if self.transaction else ""
        field_ = f", field `{self.field}`" if self.field else ""
        return (
            f"{self.where}: seq {self.seq}{about}{field_}: "
            f"recorded {self.recorded or 'nothing'}, derived {self.derived or 'nothing'}"
        )

    @property
    def row(self) -> tuple[Cell, ...]:
        return (
            self.where,
            self.what,
            self.seq,
            self.transaction,
            self.field,
            self.recorded,
            self.derived,
        )


@dataclass(slots=True)
class Findings:
    """Findings in the order they were made, each once."""

    items: list[Finding] = field(default_factory=list)

    def add(self, where: str, what: str, seq: int | None = None) -> None:
        self.take(Finding(where, what, seq))

    def take(self, finding: Finding) -> None:
        if finding not in self.items:
            self.items.append(finding)

    def section(self) -> Section:
        return Section("findings", "Findings", COLUMNS, [finding.row for finding in self.items])
