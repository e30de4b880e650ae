"""The link's way to the MQTT broker, while there is one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from gatehouse.cloud.link.mqtt import Connection, MqttLost, Take
from gatehouse.cloud.link.services.outbox import Outgoing

_AT_ONCE = 32
_TAKEN_WITHIN_S = 5.0


class Broker:
    """Publishes while there is a connection."""

    def __init__(self, host: str, port: int, password: str) -> None:
        self._host = host
        self._port = port
        self._password = password
        self._connection: Connection | None = None

    @property
    def connected(self) -> bool:
        """Whether messages can be sent at this moment."""
        return self._connection is not None

    @asynccontextmanager
    async def connection(self, subscriptions: Sequence[str], take: Take) -> AsyncIterator[asyncio.Future[None]]:
        """Connect and subscribe; gives the future that ends with the connection. Raises MqttLost.

        Nothing is kept for the link while it is away: gateways repeat what was not answered.
        """
        connection = await Connection.connect(self._host, self._port, "link", self._password, take)
        try:
            await connection.subscribe(subscriptions)
            self._connection = connection
            yield connection.closed
        finally:
            self._connection = None
            connection.close()

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Returns once the broker has taken all of them. Raises MqttLost."""
        connection = self._present()
        step = min(_AT_ONCE, connection.at_once)
        for first in range(0, len(messages), step):
            await asyncio.gather(
                *(
                    connection.publish(m.topic, m.payload, retain=m.retain, life_s=m.life_s, within=_TAKEN_WITHIN_S)
                    for m in messages[first : first + step]
                )
            )

    async def send(self, messages: Sequence[Outgoing]) -> None:
        """Hand over answers that will be asked for again if they get lost. Raises MqttLost."""
        connection = self._present()
        connection.send([(m.topic, m.payload) for m in messages])
        await connection.drain()

    def _present(self) -> Connection:
        if self._connection is None:
            raise MqttLost("not connected to the broker")
        return self._connection
