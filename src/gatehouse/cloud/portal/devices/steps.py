"""How far all devices of a list are with what was changed, in a fixed number of queries."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from gatehouse.cloud.authz.actor import Actor
from gatehouse.cloud.devices.models import Device
from gatehouse.cloud.feed.models import DeviceFeed, SiteFeed, Wanted
from gatehouse.cloud.feed.queries import Step


def steps(actor: Actor, devices: Sequence[Device]) -> dict[UUID, Step]:
    """The step of each device, as `feed.queries.device_step` tells it, but without counting what is on its way."""
    gateways = {device.gateway_id for device in devices if device.gateway_id}
    wanted = {each.gateway_id: each.revision for each in Wanted.objects.visible_to(actor).filter(gateway__in=gateways)}
    held = {each.device_id: each for each in DeviceFeed.objects.visible_to(actor).filter(device__in=devices)}
    sites = {device.site_id for device in devices}
    # unscoped: the feed of a site has no queryset of its own; the sites are the actor's
    epochs = {each.site_id: each.epoch for each in SiteFeed.objects.filter(site__in=sites & actor.sites)}
    return {
        device.id: _step(
            held.get(device.id),
            epochs.get(device.site_id),
            wanted.get(device.gateway_id, 0) if device.gateway_id else 0,
        )
        for device in devices
    }


def _step(held: DeviceFeed | None, epoch: UUID | None, wanted: int) -> Step:
    # One that never reported is behind even where nothing was made yet, as in `device_step`.
    revision = held.applied if held is not None and held.epoch == epoch else -1
    refused = tuple((str(key), str(reason)) for key, reason in held.refused) if held is not None else ()
    if refused:
        return Step("failed", 0, refused, max(revision, 0), wanted)
    return Step("pending" if revision < wanted else "in_step", 0, (), max(revision, 0), wanted)
