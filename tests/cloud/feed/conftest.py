"""Fixtures of the feed's tests: everything here needs real transactions."""

from __future__ import annotations

import pytest
from django.db import transaction

from tests.cloud.feed.town import Town, found_town


@pytest.fixture
def town(committed: None) -> Town:
    """A site, committed, with one of everything and nothing compiled yet."""
    with transaction.atomic():
        return found_town()
