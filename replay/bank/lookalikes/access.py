"""Honest visits that look like fraud with access: new devices, shared ones, long calls, accounts long unused."""

import numpy as np

from replay.bank import kinds, places, table
from replay.bank.habits.today import OWN_ELSEWHERE, UTILITIES
from replay.bank.kinds import Casting, Flags, Kind, Variant
from replay.bank.population import ELDERLY, STUDENT, Population
from replay.bank.scene import HOUR_US, KIOSK, MINUTE_US, N_KIOSKS, YUAN, Scene
from replay.bank.table import I8, OUTSIDE
from replay.bank.typologies.dormant_drain import asleep

HOSPITALS = OUTSIDE + 1_664_000_000  # accounts of hospitals, four a city


def new_phone(scene: Scene) -> bool:
    """Like a take-over: a new number and a new telephone, then usual payees and a small new one."""
    account, room = scene.account, scene.available(scene.account)
    if room < 1_500 * YUAN:
        return False
    me, usual, before_us = scene.home(account), scene.friend(account), scene.hour(9, 21)
    scene.session(before_us, account)
    scene.send(before_us, account, int(scene.yuan(20, 200)[0]), usual, attempt=-1)
    mine, day = me | {"device": scene.own_device(account, 2)}, scene.days(3, 5) - 1
    t_us = scene.hour(9, 18, day) if day else before_us + HOUR_US
    change = table.PHONE_CHANGE if scene.is_so(0.6) else table.PASSWORD_RESET
    scene.act(t_us, change, account, **(me if scene.is_so(0.5) else mine))
    t_us += scene.pause(3 * MINUTE_US, 30 * MINUTE_US)
    scene.act(t_us, table.DEVICE_ENROLLED, account, **mine)
    t_us += scene.pause(20 * MINUTE_US, 3 * HOUR_US)
    scene.session(t_us, account, **mine)
    most = max(min(3_000.0, 0.35 * room / YUAN), 120.0)
    scene.send(t_us, account, int(scene.yuan(100, most)[0]), usual, **mine)
    t_us = scene.later(t_us, 30 * MINUTE_US, 5 * HOUR_US)
    scene.session(t_us, account, scene.outsider(), **mine)
    scene.send(t_us, account, int(scene.yuan(20, 400)[0]), scene.outsider(), **mine)
    return True


def returnee(scene: Scene) -> bool:
    """Like a dormant drain: the owner comes back after long, on the enrolled telephone, and pays a little."""
    account, room = scene.account, scene.available(scene.account)
    if room < 500 * YUAN:
        return False
    t_us, n = scene.hour(9, 20), int(scene.rng.integers(1, 3))
    own = OWN_ELSEWHERE + scene.customer
    for k in range(n):
        payee = own if scene.is_so(0.4) else int(scene.population.payees[account, 1 + k])
        scene.session(t_us, account)
        share = scene.share(0.05, 0.2) / n
        type_ = table.TRANSFER if payee == own else table.PAYMENT
        fen = int(scene.typed(np.array([room * share]))[0])
        scene.send(t_us, account, fen, payee, type=type_)
        t_us = scene.later(t_us, 20 * MINUTE_US, 30 * HOUR_US)
    return True


def elderly_family(scene: Scene) -> bool:
    """Like persuasion on the phone: a long call with the family, then much money for somebody known for long."""
    account, room = scene.account, scene.available(scene.account)
    if room < 3_000 * YUAN:
        return False
    me, payee = scene.home(account), scene.friend(account)
    # the month before something was sent there too; the bank must have seen it to know
    before_us = scene.hour(9, 20)
    scene.session(before_us, account)
    scene.send(before_us, account, int(scene.yuan(100, 500)[0]), payee, attempt=-1)
    call_us, minutes = scene.hour(9, 19, scene.days(4, 8) - 1), scene.share(20, 70)
    if call_us < before_us + 4 * HOUR_US:
        call_us = before_us + 5 * HOUR_US
    end_us = call_us + int(minutes * MINUTE_US)
    for length in (scene.share(0.5, 0.9) * minutes, minutes):
        at_us = call_us + int(length * MINUTE_US)
        scene.act(at_us, table.PHONE_SESSION, account, duration_s=int(length * 60), **me)
    pay_us = end_us + scene.pause(-5 * MINUTE_US, 90 * MINUTE_US)
    scene.session(pay_us, account)
    fen = int(scene.typed(np.array([room * scene.share(0.2, 0.6)]))[0])
    scene.send(pay_us, account, fen, payee, purpose=table.FOR_LIVING)
    return True


def hospital_bill(scene: Scene) -> bool:
    """Like persuasion on the phone: much money to an account never paid before, but a hospital's, and no call."""
    account, room = scene.account, scene.available(scene.account)
    if room < 5_000 * YUAN:
        return False
    hospital = HOSPITALS + 4 * scene.city + int(scene.rng.integers(0, 4))
    total = min(int(room * scene.share(0.2, 0.7)), 80_000 * YUAN)
    n, t_us = int(scene.rng.integers(1, 3)), scene.hour(8, 15)
    for k, fen in enumerate(scene.parts(total, n).tolist()):
        if k == 0:
            scene.session(t_us, account, hospital)
        else:
            scene.session(t_us, account)
        scene.send(t_us, account, fen, hospital, purpose=table.FOR_MEDICAL)
        t_us = scene.later(t_us, 2 * HOUR_US, 30 * HOUR_US)
    return True


def _visits(
    scene: Scene, account: I8, times: I8, who: dict[str, int], low: float, high: float, **how: int
) -> None:
    """Each signs in at one device and pays somebody usual: a payee or the waterworks."""
    for each, at_us in zip(account.tolist(), times.tolist(), strict=True):
        most = min(high, 0.4 * scene.available(each) / YUAN)
        if most <= low:
            continue
        water = UTILITIES + 4 * scene.city_of(each)
        payee = scene.friend(each) if scene.is_so(0.5) else water
        scene.session(at_us, each, **who)
        scene.send(at_us, each, int(scene.yuan(low, most)[0]), payee, **who, **how)


def family_tablet(scene: Scene) -> bool:
    """Like a shared device: three or four accounts of one family on the tablet in the living room."""
    account = np.concatenate([[scene.account], scene.others])[: int(scene.rng.integers(3, 5))]
    if len(account) < 3 or (scene.balance[account] < 600 * YUAN).any():
        return False
    times = (
        scene.on_days(len(account), scene.days(1, 2), 18, 22)
        + np.arange(len(account)) * 9 * MINUTE_US
    )
    _visits(scene, account, times, scene.home(scene.account, 1), 50, 800)
    return True


def branch_kiosk(scene: Scene) -> bool:
    """Like a shared device: the machine in a branch, where one customer after the other pays a bill."""
    account = np.concatenate([[scene.account], scene.others])
    account = account[scene.balance[account] > 600 * YUAN][: int(scene.rng.integers(6, 15))]
    if len(account) < 6:
        return False
    number = scene.city % N_KIOSKS
    address = int(places.mobile_address(np.array([scene.city]), np.array([0.5]), 1)[0])
    who = {"device": KIOSK + number, "ip": address, "ip_country": places.CN, "city": scene.city}
    web = {"channel": table.WEB, "auth_method": table.PASSWORD}
    span_us = scene.pause(4 * HOUR_US, 7.5 * HOUR_US)
    _visits(
        scene, account, scene.spread(scene.hour(9, 9.5), span_us, len(account)), who, 40, 900, **web
    )
    return True


def _relatives(casting: Casting) -> I8 | None:
    """The own other account, the partner, and a child or a parent in the same city."""
    p, me = casting.population, casting.account
    partner, other = int(p.partner[p.customer[me]]), int(p.other[me])
    near = kinds.person(p, casting.day) & (p.account_city == p.account_city[me])
    near &= casting.free & kinds.holding(p, 900)
    near[me] = False
    close = [a for a in (other, partner) if a >= 0 and near[a]]
    kin = near & np.isin(p.account_segment, [STUDENT, ELDERLY])
    kin[close] = False
    found = casting.rng.permutation(np.flatnonzero(kin))
    cast = np.concatenate([np.array(close, np.int64), found])[: casting.n[1]]
    return cast if len(cast) >= casting.n[0] else None


def _neighbours(casting: Casting) -> I8 | None:
    p = casting.population
    near = p.account_city == p.account_city[casting.account]
    return casting.drawn(kinds.person(p, casting.day) & near & kinds.holding(p, 900))


def _elderly(p: Population, day: int) -> Flags:
    old = kinds.person(p, day) & (p.account_segment == ELDERLY)
    return np.asarray(old & kinds.holding(p, 5_000))


KINDS = (
    Kind(
        "new_phone",
        True,
        lambda p, day: kinds.person(p, day) & kinds.holding(p, 3_000),
        (Variant("", new_phone, 6, 2.3, 2.3),),
    ),
    Kind(
        "returnee",
        True,
        lambda p, day: asleep(p, day) & kinds.holding(p, 1_000),
        (Variant("", returnee, 3, 1.7, 1.7),),
    ),
    Kind("elderly_family", True, _elderly, (Variant("", elderly_family, 9, 1.3, 1.3),)),
    Kind(
        "hospital_bill",
        True,
        lambda p, day: kinds.person(p, day) & kinds.holding(p, 8_000) & (kinds.age(p) > 40),
        (Variant("", hospital_bill, 3, 1.5, 1.5),),
    ),
    Kind(
        "family_tablet",
        True,
        lambda p, day: kinds.person(p, day) & kinds.holding(p, 900),
        (Variant("", family_tablet, 2, 3.8, 3.8, (2, 3)),),
        _relatives,
    ),
    Kind(
        "branch_kiosk",
        True,
        lambda p, day: kinds.person(p, day) & kinds.holding(p, 900),
        (Variant("", branch_kiosk, 1, 11.0, 11.0, (7, 16)),),
        _neighbours,
    ),
)
