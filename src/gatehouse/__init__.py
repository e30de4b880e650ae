"""Gatehouse: a self-hosted cloud for smart intercoms and access control."""

__version__ = "0.1.0"
"""The same as in pyproject.toml; what gateways report of themselves."""
