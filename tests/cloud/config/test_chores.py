"""The worker's chores hold with the rights that the worker has, and may be done again at any time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from gatehouse.cloud.config.chores import CHORES
from tests.cast import Cast


@pytest.mark.parametrize("chore", CHORES, ids=lambda chore: chore.__name__)
def test_a_chore_may_be_done_twice_as_the_worker(
    committed_cast: Cast, as_role: Callable[[str], AbstractContextManager[None]], chore: Callable[[], None]
) -> None:
    with as_role("system"):
        chore()
        chore()
