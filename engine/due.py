"""What happens because time has passed: restrictions end, holds lapse, and nobody acknowledged or signed in time."""

import numpy as np

from config import reasons
from config.decisions import DecisionSettings
from engine.agenda import AGE, CONFIRM, EXPIRE, FORGET, FORGIVE, LAPSE, OUTLIVE, SIGN, TIME_OUT
from engine.alerts import operational_alert
from engine.books import Books
from engine.outcomes import rfc3339
from engine.restrictions import Restriction
from engine.survey import Survey
from engine.verdict import Work


class Due:
    """Let happen what the agenda of `books` holds, at the first row whose core time has come to it."""

    def __init__(self, books: Books, settings: DecisionSettings, survey: Survey) -> None:
        self._agenda = books.agenda
        self._book = books.alerts
        self._held = books.held
        self._cases = books.cases
        self._registry = books.registry
        self._desk = books.desk
        self._settings = settings
        self._survey = survey

    def first_row(self, work: Work) -> int:
        """The first row at whose core time something is due; n if there is none."""
        due_us = self._agenda.next_us
        if due_us is None or not work.n or due_us > work.inputs.core_us[-1]:
            return work.n
        return int(np.searchsorted(work.inputs.core_us, due_us))

    def happen(self, work: Work, row: int) -> None:
        """Let happen what is due by the core time of `row`, before the row itself."""
        now_us, seq = int(work.inputs.core_us[row]), int(work.inputs.seq[row])
        for due_us, kind, id_ in self._agenda.take(now_us):
            if kind == EXPIRE:
                self._registry.expire(id_, seq, work.out)
            elif kind == FORGET:
                self._registry.forget(id_, now_us)
            elif kind == TIME_OUT:
                restriction = self._registry.time_out(id_, now_us, seq)
                if restriction is not None:
                    self._alarm(work, reasons.NOT_ACKNOWLEDGED, restriction, seq, now_us)
            elif kind == CONFIRM:
                restriction = self._registry.confirm(id_, due_us, now_us)
                if restriction is not None:
                    self._alarm(work, reasons.RELEASE_NOT_ACKNOWLEDGED, restriction, seq, now_us)
            elif kind == LAPSE:
                self._held.lapse(id_, seq, work.out)
            elif kind == AGE:
                self._cases.due(due_us, id_)
            elif kind == OUTLIVE:
                self._held.outlive(id_)
            elif kind == SIGN:
                if self._desk.releases.miss(id_, seq, now_us, work.out):
                    work.count("alerts", "operational")
            elif kind == FORGIVE:
                self._desk.releases.forgive(id_)
            else:
                suppression = self._book.due(due_us, kind, id_)
                if suppression is not None:
                    self._survey.look_again_at(work, row - 1, suppression.rule)
                    if self._desk.switches.end_of(suppression, seq, now_us, work.out):
                        work.count("alerts", "operational")

    def _alarm(
        self, work: Work, reason: str, restriction: Restriction, seq: int, now_us: int
    ) -> None:
        """Core banking has not acknowledged a restriction, or its release."""
        what = f"{restriction.level} of {restriction.domain} {restriction.entity}"
        if reason == reasons.NOT_ACKNOWLEDGED:
            title = f"{what} was not acknowledged within {self._settings.ack_timeout}"
        else:
            ended = rfc3339(restriction.ended_us)
            title = (
                f"the release of {what} at {ended} is not carried out: {restriction.release_state}"
            )
        work.count("alerts", "operational")
        about = {"restriction_id": restriction.id}
        operational_alert(work.out, reason, title, seq=seq, now_us=now_us, about=about)
