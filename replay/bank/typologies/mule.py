"""Mule account: money from many victims comes in and leaves again at once (fan-in, fan-out).

In life: accounts are sold or rented out for some hundreds of yuan; victims of telecom fraud are told to pay into
them, and "water rooms" pass the money on in minutes, to further layers, to cash or abroad. Source: Supreme People's
Court and Ministry of Public Security on "two cards" crime (Operation Card Break, since 2020); Egmont Group and FATF
on money mules.

easy: into an account less than 60 days old 6 to 11 strangers pay 2,000 to 9,000 yuan each, and 92 to 99 % leaves in 1
to 3 payments within hours. hard: the account is 60 to 400 days old, 4 to 6 senders pay over 1 to 2 days, 75 to 92 %
leaves in 3 to 6 parts, some of them cash from machines, and in one account out of three to payees that nobody entered
or that the owner pays anyway. Sums are those of everyday payments more often (400 to 9,000 yuan). Now and then a
victim is a customer of this bank: then both legs belong to the attempt. Simplified: one layer only; the owner of the
account takes part and uses the own phone.
"""

import numpy as np

from replay.bank import kinds, table
from replay.bank.kinds import EASY, HARD, Casting, Flags, Kind, Variant
from replay.bank.population import Population
from replay.bank.scene import HOUR_US, MINUTE_US, SECOND_US, YUAN, Scene
from replay.bank.table import I8, OUTSIDE

CASH_STEP = 100 * YUAN
MACHINE_MOST = 5_000 * YUAN


def _collect(scene: Scene, times: I8, amount: I8) -> None:
    """Strangers pay in; those among `others` who can afford it are customers of this bank."""
    inside = [a for a in scene.others.tolist() if scene.available(a) > 12_000 * YUAN]
    n_inside = min(len(inside), len(times) // 3, int(scene.rng.integers(0, 3)))
    for k in range(n_inside):
        victim, at_us = inside[k], int(times[k])
        me = scene.home(victim)
        scene.act(at_us - 3 * MINUTE_US, table.LOGIN, victim, **me)
        scene.act(at_us - MINUTE_US, table.PAYEE_ADDED, victim, payee=scene.account, **me)
        scene.move(times[k : k + 1], victim, scene.account, amount[k : k + 1], **me)
    rest = len(times) - n_inside
    scene.receive(
        times[n_inside:], scene.account, amount[n_inside:], scene.outsider(8) + np.arange(rest)
    )


def easy(scene: Scene) -> bool:
    account, n_in, n_out = scene.account, scene.count(6, 11), scene.count(1, 3)
    in_us = scene.spread(scene.hour(7.5, 16), scene.pause(40 * MINUTE_US, 5 * HOUR_US), n_in)
    amount = scene.yuan(2_000, 9_000, n_in)
    _collect(scene, in_us, amount)
    me, t_us = scene.home(account), int(in_us[-1]) + scene.pause(5 * MINUTE_US, 90 * MINUTE_US)
    scene.act(t_us, table.LOGIN, account, **me)
    n_payees = min(n_out, 2)
    for k in range(n_payees):
        scene.act(
            t_us + (k + 1) * 40 * SECOND_US,
            table.PAYEE_ADDED,
            account,
            payee=scene.outsider(k),
            **me,
        )
    scene.pay(
        scene.spread(
            t_us + scene.pause(2 * MINUTE_US, 10 * MINUTE_US),
            scene.pause(5 * MINUTE_US, 2 * HOUR_US),
            n_out,
        ),
        account,
        scene.parts(int(amount.sum() * scene.share(0.94, 0.99)), n_out),
        scene.outsider() + np.arange(n_out) % n_payees,
        is_money=1,
        **me,
    )
    return True


def hard(scene: Scene) -> bool:
    account, n_in, n_out = scene.account, scene.count(4, 6), scene.count(3, 6)
    days = scene.days(1, 2)
    in_us = scene.on_days(n_in, days, 8, 20) + np.arange(n_in) * 3 * MINUTE_US
    amount = scene.prices(400, 9_000, n_in)
    _collect(scene, in_us, amount)
    me = scene.home(account)
    part = scene.parts(int(amount.sum() * scene.share(0.77, 0.92)), n_out)
    # the smallest parts are fetched in cash, as far as a machine gives that much
    is_cash = (np.argsort(np.argsort(part)) < scene.count(1, 2)) & (part <= MACHINE_MOST)
    is_cash &= bool(scene.population.n_cards[account] > 0)
    part = np.where(is_cash, part // CASH_STEP * CASH_STEP, part)
    first_us = int(in_us[-1]) + scene.pause(30 * MINUTE_US, 6 * HOUR_US)
    times = scene.awake(scene.spread(first_us, scene.pause(3 * HOUR_US, 18 * HOUR_US), n_out))
    n_payees = scene.count(2, 3)
    payee = scene.outsider() + np.arange(n_out) % n_payees
    outside = scene.population.payees[account, 1:]
    outside = outside[outside >= OUTSIDE]
    if len(outside) and scene.is_so(1 / 3):  # an accomplice who was paid before
        payee[payee == scene.outsider()] = scene.rng.choice(outside)
    for k in np.flatnonzero(~is_cash).tolist():
        scene.act(int(times[k]) - 4 * MINUTE_US, table.LOGIN, account, **me)
        if payee[k] not in payee[:k][~is_cash[:k]]:
            scene.enter(int(times[k]) - 2 * MINUTE_US, account, int(payee[k]), **me)
    scene.pay(times[~is_cash], account, part[~is_cash], payee[~is_cash], is_money=1, **me)
    if is_cash.any():
        scene.withdraw(times[is_cash], account, part[is_cash], scene.city, is_money=1)
    return True


def young(low: int, high: int) -> kinds.Eligible:
    """Accounts of natural persons that are `low` to `high` days old on the day."""

    def eligible(p: Population, day: int) -> Flags:
        days = kinds.account_days(p, day)
        return np.asarray(kinds.person(p, day) & (days >= low) & (days < high))

    return eligible


def with_victims(casting: Casting) -> I8 | None:
    """Customers with savings who may be talked into paying."""
    p = casting.population
    return casting.drawn(kinds.person(p, casting.day) & kinds.holding(p, 15_000))


MULE = Kind(
    "mule",
    False,
    kinds.alive,
    (
        Variant(EASY, easy, 2, 11.3, 8.5, (0, 2), young(3, 60)),
        Variant(HARD, hard, 4, 10.2, 8.0, (0, 2), young(60, 400)),
    ),
    with_victims,
)
