"""Honest business that looks like laundering: takings in cash, and wages collected and paid out in one day."""

import numpy as np

from replay.bank import kinds, table
from replay.bank.kinds import Flags, Kind, Variant
from replay.bank.population import DAY_US, PAYROLL_BUREAU, SMALL_BUSINESS, Population
from replay.bank.scene import HOUR_US, MINUTE_US, SECOND_US, YUAN, Scene
from replay.bank.table import OUTSIDE

CLIENTS = OUTSIDE + 1_668_000_000  # of payroll bureaus
STAFF = OUTSIDE + 1_669_000_000  # whom they pay
N_EACH = 4_096


def shop_takings(scene: Scene) -> bool:
    """Like structuring: a shop pays in its takings every day, of any size, once or twice near the limit."""
    days = scene.days(5, 8)
    day = np.flatnonzero(scene.rng.random(days) < 0.9)
    day = day if len(day) else np.array([0])
    n = len(day)
    amount = np.exp(scene.rng.normal(np.log(6_000), 0.8, n)).clip(500, 30_000)
    amount[scene.rng.random(n) < 0.12] = scene.share(41_000, 49_500)
    fen = (amount / 10).astype(np.int64) * 10 * YUAN
    at_machine = (fen <= 20_000 * YUAN) & (scene.rng.random(n) < 0.3)
    hour = np.where(at_machine, scene.rng.uniform(18, 22, n), scene.rng.uniform(14, 16.9, n))
    scene.deposit(
        scene.start_us + day * DAY_US + (hour * HOUR_US).astype(np.int64),
        scene.account,
        np.where(at_machine, fen // (100 * YUAN) * (100 * YUAN), fen),
        np.where(at_machine, table.ATM_DEPOSIT, table.BRANCH_CASH),
        np.full(n, scene.city),
    )
    return True


def payroll_run(scene: Scene) -> bool:
    """Like a mule: a bureau collects from its clients in the morning and pays 20 to 200 wages before noon."""
    n, n_clients = int(scene.rng.integers(20, 201)), int(scene.rng.integers(3, 9))
    wage = np.clip(8_600 * np.exp(scene.rng.normal(0, 0.38, n)), 4_500, 30_000)
    fen = (wage * YUAN).astype(np.int64)
    first_us, base = scene.hour(7, 8), scene.account * N_EACH
    collected = scene.parts(int(fen.sum() * scene.share(1.03, 1.08)), n_clients)
    scene.receive(
        scene.spread(first_us, scene.pause(30 * MINUTE_US, 70 * MINUTE_US), n_clients),
        scene.account,
        collected,
        CLIENTS + (base + scene.rng.choice(12, n_clients, replace=False)) % 1_000_000,
        purpose=table.FOR_INVOICE,
    )
    run_us = first_us + scene.pause(100 * MINUTE_US, 150 * MINUTE_US)
    scene.pay(
        np.sort(run_us + scene.rng.integers(0, 90 * SECOND_US, n)),
        scene.account,
        fen,
        STAFF + (base + scene.rng.choice(600, n, replace=False)) % 200_000_000,
        type=table.SALARY,
        channel=table.FILE,
        auth_method=-1,
        purpose=table.FOR_SALARY,
    )
    return True


def _shops(p: Population, day: int) -> Flags:
    return np.asarray(kinds.alive(p, day) & (p.account_segment == SMALL_BUSINESS))


def _bureaus(p: Population, _day: int) -> Flags:
    return np.asarray((p.is_dormant == 0) & (p.account_segment == PAYROLL_BUREAU))


KINDS = (
    Kind("shop_takings", True, _shops, (Variant("", shop_takings, 8, 5.9, 5.9),)),
    Kind("payroll_run", True, _bureaus, (Variant("", payroll_run, 1, 115.5, 115.5),)),
)
