"""What travels between cloud, gateway and device: version 1.

Messages are typed (`messages`), topics are built in one place (`topics`). The JSON schema
(`schema/v1.json`, generated) and `docs/wire.md` describe the same thing for people who write a
gateway of their own. Within a version fields are only ever added, with a default; a reader ignores
what it does not know. Anything else is a new version.
"""

VERSION = 1
"""Wire version; the first level of every topic and path after the prefix."""

FEED_SCHEMA = 1
"""Version of the feed entries' payloads. A gateway that meets a newer one keeps its last whole state."""
