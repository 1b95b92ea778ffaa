from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from connectors.credits import Credits
from groundswell import metrics


def test_credits_are_exhausted_by_records_or_by_bytes_and_come_back() -> None:
    budget = Credits(max_records=10, max_bytes=100)
    seen = []
    for records, size in ((9, 10), (1, 10), (-1, -10), (0, 90), (-9, -100)):
        if records < 0:
            budget.release(-records, -size)
        else:
            budget.acquire(records, size)
        seen.append(budget.exhausted)
    assert seen == [False, True, False, True, False]
    assert budget.used == (0, 0)


def test_the_metric_follows() -> None:
    budget = Credits(10, 10)
    budget.acquire(7, 3)
    assert metrics.REGISTRY.get_sample_value("groundswell_credits_used") == 7


def test_threads_lose_no_credit() -> None:
    budget = Credits(1, 1)

    def churn(_: int) -> None:
        for _ in range(2000):
            budget.acquire(3, 5)
            budget.release(3, 5)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(churn, range(8)))
    assert budget.used == (0, 0)


def test_room_for_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Credits(0, 1)
