"""Rhythms in words and as crontab lines."""

from datetime import timedelta

import pytest

from retentiond.policy.grammar import NotUnderstoodError
from retentiond.policy.schedule import parse_schedule


@pytest.mark.parametrize(
    ("text", "interval", "crontab"),
    [
        ("daily at 02:00", timedelta(days=1), "0 2 * * *"),
        ("daily at 2:05", timedelta(days=1), "5 2 * * *"),
        ("every 5 minutes", timedelta(minutes=5), None),
        ("every 1 hour", timedelta(hours=1), None),
        ("weekly on monday at 23:59", timedelta(days=7), "59 23 * * 1"),
        ("weekly on sunday at 00:00", timedelta(days=7), "0 0 * * 0"),
        ("monthly on 28 at 03:30", timedelta(days=31), "30 3 28 * *"),
        ("0 2 * * *", timedelta(days=1), "0 2 * * *"),
        ("*/15 * * * *", timedelta(minutes=15), "*/15 * * * *"),
        ("0 2 * * 1-5", timedelta(days=3), "0 2 * * 1-5"),
        ("0 0 1 * *", timedelta(days=31), "0 0 1 * *"),
    ],
)
def test_rhythms(text: str, interval: timedelta, crontab: str | None) -> None:
    schedule = parse_schedule(text)
    assert (schedule.interval, schedule.crontab) == (interval, crontab)
    assert (schedule.every is None) is (crontab is not None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hourly",
        "daily",
        "daily at 24:00",
        "daily at 12:60",
        "every 0 minutes",
        "every 05 minutes",
        "every minute",
        "weekly on caturday at 02:00",
        "monthly on 29 at 02:00",
        "monthly on 0 at 02:00",
        "61 * * * *",
        "0 0 30 2 *",
        "* * * *",
        "* * * * * *",
        "a b c d e",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(NotUnderstoodError) as caught:
        parse_schedule(text)
    assert caught.value.code == "bad-schedule"
