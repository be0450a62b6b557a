"""Stock ticks, with dates and times that are no longer texts."""

import pandas as pd


def typed(ticks: pd.DataFrame) -> pd.DataFrame:
    """`date` comes as 2018/08/31 and becomes a date; year, month and day say no more than it does."""
    return ticks.drop(columns=["year", "month", "day"]).assign(
        date=pd.to_datetime(ticks["date"], format="%Y/%m/%d").astype("date32[pyarrow]"),
        ts=pd.to_datetime(ticks["ts"], format="%Y-%m-%d %H:%M:%S").astype("timestamp[us][pyarrow]"),
    )
