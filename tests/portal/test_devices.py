"""Devices, gateways and the journal."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.db import transaction
from django.test import Client

from gatehouse.cloud.authz.actor import enter, system_actor
from gatehouse.cloud.devices.models import Device, Gateway
from gatehouse.cloud.devices.services import digest
from tests.cast import NOW, Cast
from tests.portal.conftest import bring_up, compiled, confirm, piece, shown, text, to

Browser = Callable[..., Client]


class TestDevices:
    def test_a_device_shows_what_it_is_and_how_it_stands(self, committed_cast: Cast, browser: Browser) -> None:
        here = committed_cast.here
        bring_up(here)
        compiled(here)
        confirm(here)
        client = browser(committed_cast.alice)
        row = piece(client.get(to("devices:device_list", here)), f"device-{here.device.id}")
        assert "Main entrance Door phone for many Online Front door , Back door" in row
        page = text(shown(client.get(to("devices:device_detail", here, device=here.device.id))))
        assert "MAC 0C:11:05:00:00:01" in page
        assert "Gateway Main entrance built in" in page
        assert "Relay 1 · DTMF #" in page
        assert "This device holds everything that was changed." in page

    @pytest.mark.req("GH-FEED-06")
    def test_a_device_that_is_behind_says_by_how_much(self, committed_cast: Cast, browser: Browser) -> None:
        here = committed_cast.here
        bring_up(here)
        compiled(here)
        client = browser(committed_cast.alice)
        page = client.get(to("devices:device_detail", here, device=here.device.id))
        assert re.search(r"\d+ waiting", piece(page, "step", "section"))
        listed = piece(client.get(to("devices:device_list", here)), f"device-{here.device.id}")
        assert "Waiting" in listed
        assert "1 device waits for changes" in piece(client.get(to("dashboard", here)), "attention", "div")
        confirm(here)
        page = client.get(to("devices:device_detail", here, device=here.device.id))
        assert "In force" in piece(page, "step", "section")

    def test_a_deleted_device_is_gone(self, committed_cast: Cast, browser: Browser) -> None:
        here = committed_cast.here
        with transaction.atomic():
            enter(system_actor(here.site.id))
            Device.objects.filter(site_id=here.site.id, pk=here.device.pk).update(deleted_at=NOW)
        client = browser(committed_cast.alice)
        assert 'id="nothing"' in shown(client.get(to("devices:device_list", here)))
        assert client.get(to("devices:device_detail", here, device=here.device.id)).status_code == 404


class TestGateways:
    @pytest.mark.req("GH-GW-01")
    def test_a_claim_code_is_shown_once_with_a_picture(self, committed_cast: Cast, browser: Browser) -> None:
        here = committed_cast.here
        client = browser(committed_cast.ivan)
        response = client.post(to("gateways:claim_code", here, gateway=here.gateway.id))
        code = re.search(r'data-code="([A-Z2-7]{20})"', response.content.decode())
        assert code
        assert "<path d=" in response.content.decode()
        assert "no-store" in response["Cache-Control"]
        with transaction.atomic():
            enter(system_actor(here.site.id))
            kept = Gateway.objects.get_visible(system_actor(here.site.id), here.gateway.id)
        assert kept.claim_digest == digest(code[1])
        assert code[1] not in shown(client.get(to("gateways:gateway_list", here)))
        assert client.get(to("gateways:claim_code", here, gateway=here.gateway.id)).status_code == 405

    def test_the_list_says_how_each_one_stands(self, committed_cast: Cast, browser: Browser) -> None:
        here = committed_cast.here
        client = browser(committed_cast.alice)
        assert "Not claimed" in piece(client.get(to("gateways:gateway_list", here)), f"gateway-{here.gateway.id}")
        bring_up(here)
        with transaction.atomic():
            enter(system_actor(here.site.id))
            Gateway.objects.filter(site_id=here.site.id, pk=here.gateway.pk).update(
                version="0.1.0", health={"clock_offset_ms": -1500, "spool_depth": 12}
            )
        row = piece(client.get(to("gateways:gateway_list", here)), f"gateway-{here.gateway.id}")
        for said in ("Online", "0.1.0", "-1.5 s", "12 not sent yet"):
            assert said in row
        assert "Claim" not in row


class TestJournal:
    @pytest.mark.req("GH-SEC-08")
    def test_acts_stand_there_with_their_author_newest_first(self, committed_cast: Cast, browser: Browser) -> None:
        cast = committed_cast
        client = browser(cast.alice)
        client.post(to("people:change_pin", cast.here, holder=cast.charlie.pk), {"pin": "271828"})
        html = text(shown(client.get(to("journal:entry_list", cast.here))))
        assert "Code given Charlie Novak Alice Moreau Portal" in html
        assert html.index("Code given") < html.index("Person added") < html.index("Site created")
        assert "271828" not in html
        assert "Mallory" not in html
