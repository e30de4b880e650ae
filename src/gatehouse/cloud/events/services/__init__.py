"""Acts of the logs: today the intake alone; nobody else writes what happened."""

from gatehouse.cloud.events.services.intake import Fresh, Taken, record_batches

__all__ = ["Fresh", "Taken", "record_batches"]
