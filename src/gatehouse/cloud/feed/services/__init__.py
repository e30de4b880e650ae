"""What moves the feed: compiles on one side, the reports of gateways on the other. The two never wait for each other."""

from gatehouse.cloud.feed.services.compiling import CHANNEL, Busy, Compiled, compile_site, new_epoch, prune
from gatehouse.cloud.feed.services.reports import Taken, record_applied, record_published, release_quarantine

__all__ = [
    "CHANNEL",
    "Busy",
    "Compiled",
    "Taken",
    "compile_site",
    "new_epoch",
    "prune",
    "record_applied",
    "record_published",
    "release_quarantine",
]
