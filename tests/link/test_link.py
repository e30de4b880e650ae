"""The link as a process, between a real broker and a real database."""

from __future__ import annotations

from django.db import connection, transaction

from gatehouse.cloud.authz.actor import enter, system_actor
from gatehouse.cloud.events.models import Passage
from tests.cast import Cast
from tests.link.conftest import Broker, LinkProcess, claimed
from tests.link.gateways import FakeGateway


def stored(site: object, spool: str) -> list[int]:
    with transaction.atomic():
        enter(system_actor(site))  # type: ignore[arg-type]
        return list(Passage.objects.filter(spool=spool).order_by("id").values_list("seq", flat=True))


async def off(act, *arguments):  # type: ignore[no-untyped-def]
    """Run database work of a test away from its event loop."""
    from asyncio import to_thread

    def job():  # type: ignore[no-untyped-def]
        try:
            return act(*arguments)
        finally:
            connection.close()

    return await to_thread(job)


async def test_events_are_stored_and_acknowledged(broker: Broker, link: LinkProcess, committed_cast: Cast) -> None:
    here = committed_cast.here
    secret = await off(claimed, here.gateway)
    async with FakeGateway(broker.port, here.gateway.id, secret, here.site.id).connected() as gateway:
        welcome = await gateway.hello()
        assert welcome.acked_seq == 0
        ack = await gateway.send(gateway.passage(1), gateway.passage(2))
        assert (ack.seq, ack.refused) == (2, None)
        assert await off(stored, here.site.id, gateway.spool) == [1, 2]
