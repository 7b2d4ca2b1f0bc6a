"""Where the generated bank's customers live and travel: cities, countries, currencies, and numbers for addresses.

Population shares, coordinates and rates are rounded from memory of public figures; nothing here is a price source.
The rates only make amounts in foreign currency plausible; the engine converts with its own versioned table.
"""

from typing import Final, NamedTuple

import numpy as np

from replay.bank import table
from replay.bank.table import F8, I8

COUNTRIES: Final = ("CN", "HK", "TH", "JP", "SG", "FR", "DE", "GB", "US", "KH", "BR", "NG")
CN, HK, TH, JP, SG, FR, DE, GB, US, KH, BR, NG = range(12)
# What shops bill in. Cambodia takes dollars in everyday life; the last two stand in for "bills in dollars", because
# their own currencies are not among those of the generator.
COUNTRY_CURRENCY: Final[I8] = np.array(
    [
        table.CNY,
        table.HKD,
        table.THB,
        table.JPY,
        table.SGD,
        table.EUR,
        table.EUR,
        table.GBP,
        table.USD,
        table.USD,
        table.USD,
        table.USD,
    ],
    np.int64,
)


class City(NamedTuple):
    """A place with shops and cash machines."""

    name: str
    country: int  # index into COUNTRIES
    lat: float  # degrees
    lon: float
    share: float  # of the customers who live there; 0: people only travel there
    price: float  # what things cost, relative to the average of the home cities


CITIES: Final = (
    City("Shanghai", CN, 31.23, 121.47, 0.15, 1.15),
    City("Beijing", CN, 39.90, 116.41, 0.14, 1.15),
    City("Shenzhen", CN, 22.54, 114.06, 0.11, 1.12),
    City("Guangzhou", CN, 23.13, 113.26, 0.11, 1.05),
    City("Chengdu", CN, 30.57, 104.07, 0.09, 0.92),
    City("Chongqing", CN, 29.56, 106.55, 0.08, 0.88),
    City("Hangzhou", CN, 30.27, 120.16, 0.08, 1.05),
    City("Wuhan", CN, 30.59, 114.31, 0.07, 0.92),
    City("Nanjing", CN, 32.06, 118.80, 0.06, 1.00),
    City("Xi'an", CN, 34.34, 108.94, 0.05, 0.88),
    City("Shenyang", CN, 41.80, 123.43, 0.03, 0.84),
    City("Kunming", CN, 25.04, 102.72, 0.03, 0.84),
    City("Sanya", CN, 18.25, 109.51, 0.0, 1.25),
    City("Guilin", CN, 25.27, 110.29, 0.0, 0.95),
    City("Hong Kong", HK, 22.32, 114.17, 0.0, 1.7),
    City("Bangkok", TH, 13.75, 100.50, 0.0, 0.95),
    City("Tokyo", JP, 35.68, 139.69, 0.0, 1.5),
    City("Singapore", SG, 1.35, 103.82, 0.0, 1.7),
    City("Paris", FR, 48.86, 2.35, 0.0, 2.0),
    City("Frankfurt", DE, 50.11, 8.68, 0.0, 1.9),
    City("London", GB, 51.51, -0.13, 0.0, 2.1),
    City("New York", US, 40.71, -74.01, 0.0, 2.2),
    City("Phnom Penh", KH, 11.56, 104.92, 0.0, 0.9),
    City("Sao Paulo", BR, -23.55, -46.63, 0.0, 1.2),
    City("Lagos", NG, 6.52, 3.38, 0.0, 0.9),
)
N_HOME_CITIES: Final = 12
N_DOMESTIC_CITIES: Final = 14  # with those where the Chinese only spend their holidays
SANYA, GUILIN = 12, 13
HONG_KONG, BANGKOK, TOKYO, SINGAPORE, PARIS, FRANKFURT, LONDON, NEW_YORK = range(14, 22)
PHNOM_PENH, SAO_PAULO, LAGOS = range(22, 25)
CITY_COUNTRY: Final[I8] = np.array([city.country for city in CITIES], np.int64)
CITY_PRICE: Final[F8] = np.array([city.price for city in CITIES])
CITY_LAT: Final[F8] = np.array([city.lat for city in CITIES])
CITY_LON: Final[F8] = np.array([city.lon for city in CITIES])
HOME_SHARE: Final[F8] = np.array([city.share for city in CITIES[:N_HOME_CITIES]])

# in the order of table.CURRENCIES: CNY, USD, EUR, HKD, JPY, THB, GBP, SGD
CNY_PER_UNIT: Final[F8] = np.array([1.0, 7.02, 8.05, 0.90, 0.0454, 0.2175, 9.26, 5.44])
MINOR_PER_UNIT: Final[I8] = np.array([100, 100, 100, 100, 1, 100, 100, 100], np.int64)
FEN_PER_MINOR: Final[F8] = CNY_PER_UNIT * 100.0 / MINOR_PER_UNIT

# Addresses by number: that of customer c's home is c; phones away from home share those of their city's network.
MOBILE_ADDRESS: Final = 100_000_000
N_MOBILE_A_CITY: Final = 1 << 16


def mobile_address(city: I8, share: F8, n_customers: int) -> I8:
    """An address of the mobile network of each `city`, picked by `share` in [0, 1); larger banks see more of them."""
    in_use = min(64 + n_customers // 8, N_MOBILE_A_CITY)
    return MOBILE_ADDRESS + city * N_MOBILE_A_CITY + (share * in_use).astype(np.int64)


def in_currency(fen: I8, currency: I8) -> tuple[I8, I8]:
    """Restate `fen` (n,) in `currency` (n,): minor units there, at least one, and the fen that these are worth."""
    amount = np.maximum(np.rint(fen / FEN_PER_MINOR[currency]), 1.0)
    worth = np.maximum(np.rint(amount * FEN_PER_MINOR[currency]), 1.0)
    return amount.astype(np.int64), worth.astype(np.int64)
