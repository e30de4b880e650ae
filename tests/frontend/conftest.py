"""The same browser as the lab's tests have."""

from tests.lab.conftest import browser, built

__all__ = ["browser", "built"]
