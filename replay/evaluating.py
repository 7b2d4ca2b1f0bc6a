"""`weir models evaluate`: one recording through the engine, then every model of the configuration against the labels.

Each transaction is scored before its label is known, as in any replay; a label teaches when it arrives. Measured is
what stands in `decisions.ndjson`: the champion as rules read it, every other model by its raw score, and what the rules
added up to. Nothing of the evaluation (truth files, labels that have not arrived) is shown to the engine.
"""

import argparse
import contextlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from config.durations import duration_us
from config.errors import InputError
from engine.app import Job, execute
from engine.brokers.files import FileSource
from engine.durable.disk import RealDisk
from engine.durable.encrypted_disk import unlocked
from engine.setup import Setup, read_setup
from engine.starting import key_of
from models import prequential
from replay import evaluate
from replay.replaying import Verdicts, truth_beside

CHAMPION: Final = "champion"
RULES: Final = "score"  # what the rules added up to
SHARES: Final = (0.001, 0.005, 0.01)  # of transactions that somebody looks at
CODES: Final = {
    "roc_auc": "AUC",
    "average_precision": "AP",
    "card_precision_100": "CP@100",
}


@dataclass(frozen=True, slots=True)
class Figures:
    """What an evaluation found.

    models      : of the champion, of every other model, and of the rules
    apart       : the champion minus each other model on the same test weeks, mean and deviation, if there are such
    calibration : what the champion said against what was so, from the first day that counts
    error       : `prequential.calibration_error` of it
    kinds       : of each kind of fraud: frauds, and the champion's recall at each of `SHARES`; {} where nobody knows
    fits        : the lines of OUT/models/fits.ndjson: what refits cost
    """

    champion: str
    models: dict[str, evaluate.Evaluation]
    apart: dict[str, dict[str, tuple[float, float]]]
    calibration: list[dict[str, float]]
    error: float
    kinds: dict[str, tuple[int, tuple[float, ...]]]
    fits: tuple[dict[str, Any], ...]

    def as_dict(self) -> dict[str, Any]:
        """Everything, for --json; a figure that does not exist is None."""
        return {
            "champion": self.champion,
            "models": {name: each.as_dict() for name, each in self.models.items()},
            "champion_minus": self.apart,
            "calibration": self.calibration,
            "calibration_error": None if np.isnan(self.error) else self.error,
            "kinds": {
                name: {
                    "frauds": n,
                    **{f"recall_at_{s:.1%}": r for s, r in zip(SHARES, found, strict=True)},
                }
                for name, (n, found) in self.kinds.items()
            },
            "fits": list(self.fits),
        }

    def table(self) -> str:
        """The figures as a person reads them."""
        parts = [self._models()]
        if self.apart:
            parts.append(self._apart())
        parts.append(self._weeks())
        if self.kinds:
            parts.append(self._kinds())
        if self.calibration:
            parts.append(self._calibration())
        if self.fits:
            parts.append(self._fits())
        return "\n\n".join(parts)

    def _models(self) -> str:
        first = next(iter(self.models.values()))
        lines = [
            f"{first.bank['rows']:,.0f} transactions from day {first.bank_from_day}, "
            f"{first.bank['frauds']:,.0f} of them fraud; recall at so many % alerts"
            + ("; then the mean of the test weeks" if first.published else ""),
            f"  {'':24s}{'AUC':>7s}{'AP':>7s}{'0.1 %':>8s}{'0.5 %':>8s}{'1 %':>8s}"
            + ("".join(f"{CODES[name]:>8s}" for name in evaluate.NAMES) if first.published else ""),
        ]
        for name, each in self.models.items():
            b = each.bank
            lines.append(
                f"  {self._called(name):24s}{b['roc_auc']:>7.3f}{b['average_precision']:>7.3f}"
                + "".join(f"{b[f'recall_at_{s}_percent']:>8.1%}" for s in ("0.1", "0.5", "1"))
                + "".join(
                    f"{each.published_mean(n):>8.3f}" for n in evaluate.NAMES if each.published
                )
            )
        return "\n".join(lines)

    def _called(self, name: str) -> str:
        return {CHAMPION: f"{self.champion} (champion)", RULES: "rules"}.get(name, name)

    def _apart(self) -> str:
        lines = [
            "The champion minus each, on the same test weeks (mean and deviation over the weeks)"
        ]
        for name, of in self.apart.items():
            lines.append(
                f"  {self._called(name):24s}"
                + "  ".join(f"{CODES[m]} {mean:+.3f} +- {sd:.3f}" for m, (mean, sd) in of.items())
            )
        return "\n".join(lines)

    def _weeks(self) -> str:
        lines = ["Average precision by week"]
        for name, each in self.models.items():
            weeks = [week["average_precision"] for week in each.weekly.values()]
            shown = " ".join("  - " if np.isnan(w) else f"{w:.2f}" for w in weeks)
            lines.append(f"  {self._called(name):24s}{shown}")
        return "\n".join(lines)

    def _kinds(self) -> str:
        lines = [f"Kinds of fraud, and the champion's recall{'':8s}frauds   0.1 %   0.5 %     1 %"]
        for name, (n, found) in self.kinds.items():
            lines.append(f"  {name:46s}{n:>8,d}" + "".join(f"{r:>8.1%}" for r in found))
        return "\n".join(lines)

    def _calibration(self) -> str:
        lines = [
            f"What the champion said against what was so (apart by {self.error:.1%} of all frauds)",
            f"  {'probability':18s}{'rows':>12s}{'said':>10s}{'found':>10s}{'+-':>9s}",
        ]
        lines += [
            f"  {line['from']:.3f} to {line['to']:.3f}  {line['rows']:>12,.0f}{line['said']:>10.3%}"
            f"{line['fraud']:>10.3%}{line['error']:>9.3%}"
            for line in self.calibration
        ]
        return "\n".join(lines)

    def _fits(self) -> str:
        done = [fit for fit in self.fits if fit.get("sha256")]
        seconds = [float(fit.get("seconds", 0.0)) for fit in done]
        rows = [int(fit.get("rows", 0)) for fit in done]
        text = f"{len(self.fits)} refits, {len(self.fits) - len(done)} of them skipped"
        if done:
            text += (
                f"; {sum(seconds):.1f} s in all beside the engine, at most {max(seconds):.1f} s for one; "
                f"{min(rows):,d} to {max(rows):,d} rows"
            )
        return text


def judge(
    setup: Setup,
    out: Path,
    frauds: evaluate.Labels,
    kinds: dict[tuple[str, str], str] | None = None,
    from_day: int | None = None,
) -> Figures:
    """Measure what stands in the output folder of a replay.

    frauds   : 1 of each transaction that was called a fraud in the end
    kinds    : (account, transaction id) -> kind of fraud, for those that are known; the engine never sees it
    from_day : first day of the recording that counts; None: 37 of the handbook, else 0
    """
    is_handbook = setup.feed.name == "handbook"
    disk = unlocked(RealDisk(), out, key_of(setup.configuration.settings))
    recorded = evaluate.read_recorded(
        out / "decisions.ndjson", frauds, evaluate.HANDBOOK_DAY_0 if is_handbook else None, disk
    )
    names = [CHAMPION, *(n for n in recorded.scores if n not in (CHAMPION, RULES)), RULES]
    training = evaluate.HANDBOOK_TRAINING if is_handbook else ()
    if from_day is None:
        from_day = evaluate.HANDBOOK_BANK_DAY if is_handbook else 0
    models = {name: evaluate.evaluate(recorded.of(name), training, from_day) for name in names}
    first = models[CHAMPION]
    counted = recorded.day >= from_day
    label, said = recorded.label[counted], recorded.of(CHAMPION).score[counted]
    found: dict[str, tuple[int, tuple[float, ...]]] = {}
    if kinds is not None:
        scored = recorded.of(CHAMPION).take(counted)
        identity = [
            each for each, is_in in zip(recorded.identity, counted.tolist(), strict=True) if is_in
        ]
        kind = [kinds.get(each, "other") for each in identity]
        by_share = [evaluate.recall_by_kind(scored, kind, share) for share in SHARES]
        found = {k: (n, tuple(of[k][1] for of in by_share)) for k, (n, _) in by_share[0].items()}
    return Figures(
        setup.configuration.models.champion,
        models,
        {n: evaluate.paired(first, each) for n, each in models.items() if n != CHAMPION}
        if first.published
        else {},
        prequential.reliability(label, said),
        prequential.calibration_error(label, said),
        found,
        _fits(out),
    )


def run(arguments: argparse.Namespace) -> int:
    """The command: replay, measure, print."""
    setup = read_setup(arguments.config, feed=arguments.feed)
    delay_us = duration_us(arguments.label_delay) if arguments.label_delay else None
    with contextlib.ExitStack() as stack:
        out = arguments.out or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "run"
        source = FileSource(
            arguments.inputs,
            setup.feed,
            setup.schema,
            delay_us=delay_us,
            line_bytes=setup.configuration.settings.message_bytes_max,
        )
        verdicts = Verdicts()
        job = Job(
            setup,
            out,
            setup.configuration.settings.rows_max,
            inputs=tuple(map(str, arguments.inputs)),
            total=source.records_total,
        )
        execute(job, source, observe=lambda _: [verdicts])
        figures = judge(setup, out, verdicts.frauds, _kinds(arguments.inputs), arguments.from_day)
        if not next(iter(figures.models.values())).bank["frauds"]:
            raise InputError(
                "no transaction of the recording was called a fraud",
                ", ".join(map(str, arguments.inputs)),
                "models are measured against labels",
                "give a recording with labels; how a feed holds them says `label` of its file",
            )
        print(json.dumps(figures.as_dict()) if arguments.json else figures.table())
    return 0


def _kinds(inputs: Sequence[Path]) -> dict[tuple[str, str], str] | None:
    """Of generated recordings: which attempt a transaction belongs to, by its typology."""
    truth = truth_beside(inputs)
    if truth is None:
        return None
    return {(m.account, m.transaction_id): m.typology for m in truth.marks if not m.is_honest}


def _fits(out: Path) -> tuple[dict[str, Any], ...]:
    path = out / "models" / "fits.ndjson"
    if not path.is_file():
        return ()
    return tuple(msgspec.json.decode(line) for line in path.read_bytes().splitlines() if line)
