"""The link's connection to the MQTT broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gatehouse.cloud.link.services.outbox import Outgoing

_AT_ONCE = 32
_TAKEN_WITHIN_S = 5.0


class BrokerAway(ConnectionError):
    """There is no connection to the broker, or it did not take a message in time."""


class Broker:
    """Publishes while there is a connection."""

    def __init__(self, host: str, port: int, password: str) -> None:
        self._host = host
        self._port = port
        self._password = password
        self._client: aiomqtt.Client | None = None

    @property
    def connected(self) -> bool:
        """Whether messages can be sent at this moment."""
        return self._client is not None

    @asynccontextmanager
    async def connection(self, subscriptions: Sequence[str]) -> AsyncIterator[aiomqtt.client.MessagesIterator]:
        """Connect and subscribe; gives the messages. Raises aiomqtt.MqttError, OSError.

        Nothing is kept for the link while it is away: gateways repeat what was not answered.
        """
        client = aiomqtt.Client(
            self._host,
            self._port,
            username="link",
            password=self._password,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=True,
            keepalive=30,
            timeout=_TAKEN_WITHIN_S,
        )
        client.pending_calls_threshold = 10 * _AT_ONCE
        async with client:
            try:
                await client.subscribe([(topic, 1) for topic in subscriptions])
                self._client = client
                yield client.messages
            finally:
                self._client = None

    async def publish(self, messages: Sequence[Outgoing], qos: int = 1) -> None:
        """Returns once the broker has taken all of them (with QoS 1). Raises BrokerAway."""
        for first in range(0, len(messages), _AT_ONCE):
            client = self._client
            if client is None:
                raise BrokerAway("not connected to the broker")
            some = messages[first : first + _AT_ONCE]
            try:
                await asyncio.gather(*(client.publish(m.topic, m.payload, qos, m.retain, _properties(m)) for m in some))
            except (aiomqtt.MqttError, OSError, ValueError) as error:
                raise BrokerAway(str(error) or type(error).__name__) from error


def _properties(message: Outgoing) -> Properties | None:
    if message.life_s is None:
        return None
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho leaves it bare
    properties.MessageExpiryInterval = message.life_s
    return properties
