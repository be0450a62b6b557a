"""Decides the demo's story: which hours a shop has, what changed in its files, and what went wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType

DAYS = 21
DAYS_MIN = 6
"""Fewer have no room for the story's days."""

ORDERS_A_DAY = 150_000
SEED = 20250303

VAT = 0.19
EUROS: Mapping[str, float] = MappingProxyType({"EUR": 1.0, "GBP": 1.19, "PLN": 0.24, "USD": 0.92})
"""What a unit of each currency is worth in euros."""

OUTAGE_HOURS = range(9, 18)
SECOND_OUTAGE_HOURS = range(20, 23)


@dataclass(frozen=True, slots=True, order=True)
class Hour:
    """One hour of the shop (UTC): a partition of the raw orders, and of the revenue table."""

    start: datetime

    @property
    def folder(self) -> str:
        return f"dt={self.dt}/hour={self.hour}"

    @property
    def dt(self) -> str:
        return f"{self.start:%Y-%m-%d}"

    @property
    def hour(self) -> str:
        return f"{self.start:%H}"

    @property
    def key(self) -> str:
        return f"{self.folder}/part-00000.parquet"


@dataclass(frozen=True, slots=True)
class Shop:
    """A shop whose days are placed in the story by their share of all: the same story at any length.

    The live pipeline fails for some hours on the day before `discount_day` and again on
    `reorder_day`. It takes no notice of the new column from `discount_day` until it is fixed.
    """

    days: int = DAYS
    orders_a_day: int = ORDERS_A_DAY
    seed: int = SEED
    first_day: date = date(2025, 3, 3)

    @property
    def discount_day(self) -> date:
        """From here files have the column discount_percent."""
        return self._day(self.days // 3)

    @property
    def wide_day(self) -> date:
        """From here customer_id is 64 bits wide, and new customers have IDs that need them."""
        return self._day((self.days // 3 + 2 * self.days // 3) // 2)

    @property
    def reorder_day(self) -> date:
        """From here the files' columns stand in another order."""
        return self._day(2 * self.days // 3 - 1)

    @property
    def fixed_day(self) -> date:
        """From here the live pipeline is right again."""
        return self._day(2 * self.days // 3)

    @property
    def window_start(self) -> date:
        """The first day of what is to be rebuilt; it ends before `fixed_day`."""
        return self.discount_day - timedelta(days=1)

    @property
    def last_day(self) -> date:
        return self._day(self.days - 1)

    def hours(self) -> Iterator[Hour]:
        midnight = datetime(self.first_day.year, self.first_day.month, self.first_day.day, tzinfo=UTC)
        for index in range(24 * self.days):
            yield Hour(midnight + timedelta(hours=index))

    def is_in_window(self, hour: Hour) -> bool:
        return self.window_start <= hour.start.date() < self.fixed_day

    def is_outage(self, hour: Hour) -> bool:
        """Whether the live pipeline was down, so that nothing was built for this hour."""
        day, of_day = hour.start.date(), hour.start.hour
        first = day == self.window_start and of_day in OUTAGE_HOURS
        return first or (day == self.reorder_day and of_day in SECOND_OUTAGE_HOURS)

    def ignores_discounts(self, hour: Hour) -> bool:
        """Whether the live pipeline built this hour by its old rule."""
        return self.discount_day <= hour.start.date() < self.fixed_day

    def _day(self, number: int) -> date:
        return self.first_day + timedelta(days=number)
