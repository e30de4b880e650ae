"""The lab over HTTP and its sockets: who gets in, what acts do, and that tabs agree."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gatehouse.lab import tickets
from tests.lab.fake import CARD, DEVICE, PIN, RELAYS
from tests.lab.served import act, served, state

ELSEWHERE = "019ab000-0000-7000-8000-0000000000e1"


def screen(name: str) -> Any:
    return lambda state: state["device"]["screen"] == name


async def type_keys(tab: Any, keys: str) -> None:
    for key in keys:
        await act(tab, act="key", key=key)


class TestWayIn:
    @pytest.mark.req("GH-LAB-E2")
    async def test_loopback_alone_opens_nothing_and_says_how_to_get_in(self) -> None:
        async with served() as lab:
            for path in ("/", f"/panel/{DEVICE}"):
                status, _, text = await lab.get(path)
                assert status == 403
                assert "portal" in text and "http://127.0.0.1:8000/" in text
                assert "Main entrance" not in text and PIN not in text

    async def test_a_ticket_becomes_a_cookie_and_leaves_the_address(self) -> None:
        async with served() as lab:
            status, headers, _ = await lab.get(f"/panel/{DEVICE}?ticket={lab.ticket()}")
            assert (status, headers["location"]) == (303, f"/panel/{DEVICE}")
            kept = headers["set-cookie"]
            assert "HttpOnly" in kept and "SameSite=lax" in kept
            status, headers, text = await lab.get(f"/panel/{DEVICE}", Cookie=kept.partition(";")[0])
            assert status == 200 and "Main entrance" in text
            assert headers["content-security-policy"].startswith("default-src 'none'")
            assert headers["cache-control"] == "no-store"

    @pytest.mark.req("GH-LAB-E2")
    async def test_a_ticket_that_is_too_old_sends_back_to_the_portal(self) -> None:
        async with served() as lab:
            status, headers, text = await lab.get(f"/?ticket={lab.ticket(for_s=-1)}")
            assert status == 403 and "set-cookie" not in headers and "too late" in text

    @pytest.mark.req("GH-LAB-E2")
    async def test_only_the_devices_of_the_ticket_are_there(self) -> None:
        async with served() as lab:
            cookie = await lab.cookie([ELSEWHERE])
            status, _, text = await lab.get("/", Cookie=cookie)
            assert status == 200 and "Main entrance" not in text
            assert (await lab.get(f"/panel/{DEVICE}", Cookie=cookie))[0] == 404
            with pytest.raises(InvalidStatus):
                async with lab.socket(cookie):
                    pass

    @pytest.mark.req("GH-LAB-E2")
    async def test_a_socket_needs_the_cookie(self) -> None:
        async with served() as lab:
            with pytest.raises(InvalidStatus):
                async with lab.socket("gatehouse_lab=nothing"):
                    pass

    async def test_a_page_of_somebody_else_may_not_press_keys(self) -> None:
        async with served() as lab:
            cookie = await lab.cookie()
            for origin in ("https://evil.example", lab.url.replace("http", "https", 1) + "0"):
                with pytest.raises(InvalidStatus):
                    async with lab.socket(cookie, origin=origin):
                        pass
            address = f"{lab.url.replace('http', 'ws', 1)}/panel/{DEVICE}/socket"
            with pytest.raises(InvalidStatus):
                async with connect(address, additional_headers={"Cookie": cookie}, proxy=None):
                    pass

    async def test_a_visit_that_ends_closes_its_socket(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tickets, "VISIT_S", 1)
        async with served() as lab, lab.socket(await lab.cookie()) as tab:
            await state(tab)
            with pytest.raises(ConnectionClosed) as closed:
                async with asyncio.timeout(5):
                    while True:
                        await tab.recv()
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 4401

    async def test_the_page_carries_no_way_out_of_its_data(self) -> None:
        async with served() as lab:
            place = lab.station.config
            lab.station.config = type(place)(
                **{name: getattr(place, name) for name in place.__struct_fields__} | {"name": "</script><b>"}
            )
            _, _, text = await lab.get(f"/panel/{DEVICE}", Cookie=await lab.cookie())
            assert "</script><b>" not in text


class TestActs:
    async def test_a_code_opens_the_door_and_its_line_is_heard_within_a_second(self) -> None:
        async with served() as lab, lab.socket(await lab.cookie()) as tab:
            began = time.monotonic()
            await type_keys(tab, f"{PIN}#")
            seen = await state(tab, screen("granted"))
            seen = await state(tab, lambda state: state["heard"]) if not seen["heard"] else seen
            assert time.monotonic() - began < 1
            assert seen["device"]["relays"][0]["released"] and not seen["device"]["relays"][1]["released"]
            line = seen["heard"][0]
            assert (line["kind"], line["allowed"], line["relay"], line["acked"]) == ("passage", True, RELAYS[0], True)
            assert lab.core.told[-1] == ("present", "pin", PIN, None)

    async def test_what_was_typed_is_in_no_state(self) -> None:
        async with served() as lab, lab.socket(await lab.cookie()) as tab:
            await type_keys(tab, "908172")
            seen = [await state(tab, lambda state: state["device"]["typed"] == 6)]
            await type_keys(tab, "#")
            seen.append(await state(tab, screen("refused")))
            assert lab.core.told[-1] == ("present", "pin", "908172", None)
            assert all("908172" not in json.dumps(one) for one in seen)

    async def test_a_card_in_any_notation_reaches_the_reader_as_its_number(self) -> None:
        async with served() as lab, lab.socket(await lab.cookie()) as tab:
            await act(tab, act="card", text="04:a4:6f:19", notation="auto", label="Amélie Rousseau")
            seen = await state(tab, screen("granted"))
            assert lab.core.told[-1] == ("present", "card", CARD, "Amélie Rousseau")
            assert seen["heard"][0]["who"] == "Amélie Rousseau"
            assert CARD not in json.dumps(seen)

    async def test_a_number_that_is_no_card_is_answered_with_the_reason(self) -> None:
        async with served() as lab, lab.socket(await lab.cookie()) as tab:
            await act(tab, act="card", text="not a card", notation="auto")
            async with asyncio.timeout(5):
                while (message := json.loads(await tab.recv()))["type"] != "no":
                    pass
            assert message["code"] == "card.format"
            assert not any(told[0] == "present" for told in lab.core.told)

    @pytest.mark.parametrize(
        "message",
        ["", "[]", "7", "{", '{"act": "fly"}', '{"act": "key", "key": "12"}', '{"act": "fire", "on": 1}',
         '{"act": "door", "relay": "nowhere", "do": "push"}', '{"act": "door", "relay": "R", "do": "run"}',
         '{"act": "clock", "skew_s": 99999999999}', '{"act": "card", "text": 5, "notation": "auto"}', "x" * 5_000],
    )  # fmt: skip
    async def test_nonsense_is_refused_and_the_socket_lives(self, message: str) -> None:
        async with served() as lab, lab.socket(await lab.cookie()) as tab:
            await tab.send(message.replace("R", RELAYS[0]))
            async with asyncio.timeout(5):
                while (said := json.loads(await tab.recv()))["type"] != "no":
                    pass
            assert said["code"].startswith("act.")
            await act(tab, act="tamper", on=True)
            await state(tab, lambda state: state["device"]["tamper"])

    async def test_every_hand_of_the_tester_is_felt(self) -> None:
        async with served() as lab, lab.socket(await lab.cookie()) as tab:
            await act(tab, act="exit", relay=RELAYS[1])
            await state(tab, lambda state: state["device"]["relays"][1]["released"])
            await act(tab, act="door", relay=RELAYS[1], do="keep")
            await state(tab, lambda state: state["device"]["relays"][1]["kept"])
            await act(tab, act="door", relay=RELAYS[1], do="let_go")
            await state(tab, lambda state: state["device"]["relays"][1]["door"] == "closed")
            await act(tab, act="door", relay=RELAYS[0], do="push")
            assert (await state(tab))["device"]["relays"][0]["door"] == "closed"
            await act(tab, act="door", relay=RELAYS[0], do="force")
            await state(tab, lambda state: state["device"]["relays"][0]["door"] == "forced")
            await act(tab, act="motion")
            await state(tab, lambda state: state["device"]["motion"])
            await act(tab, act="tamper", on=True)
            await act(tab, act="fire", on=True)
            seen = await state(tab, screen("emergency"))
            seen = await state(tab, lambda state: all(relay["released"] for relay in state["device"]["relays"]))
            await act(tab, act="fire", on=False)
            await state(tab, screen("idle"))
            await act(tab, act="clock", skew_s=3_600)
            seen = await state(tab, lambda state: state["device"]["skew_ms"])
            assert abs(seen["wall_ms"] / 1_000 - time.time() - 3_600) < 5
            await act(tab, act="power", on=False)
            await state(tab, screen("off"))
            told = [told for told in lab.core.told if told[0] in ("input", "door", "power")]
            for effect in (
                ("input", "exit", True, RELAYS[1]),
                ("input", "exit", False, RELAYS[1]),
                ("door", RELAYS[1], "open"),
                ("door", RELAYS[1], "closed"),
                ("door", RELAYS[0], "forced"),
                ("input", "motion", True, None),
                ("input", "tamper", True, None),
                ("input", "fire", True, None),
                ("input", "fire", False, None),
                ("power", False),
            ):
                assert effect in told
            assert ("door", RELAYS[0], "open") not in told

    async def test_with_the_cable_cut_the_door_opens_and_the_lines_wait_and_then_arrive_once(self) -> None:
        async with served() as lab, lab.socket(await lab.cookie()) as tab:
            await act(tab, act="cable", cut=True)
            await state(tab, lambda state: state["device"]["cable_cut"])
            await type_keys(tab, f"{PIN}#")
            seen = await state(tab, lambda state: state["device"]["screen"] == "granted" and state["waiting"])
            assert seen["device"]["relays"][0]["released"]
            assert [(line["alone"], line["acked"]) for line in seen["heard"]] == [(True, False)]
            await act(tab, act="cable", cut=False)
            seen = await state(tab, lambda state: not state["waiting"])
            assert [line["acked"] for line in seen["heard"]] == [True]

    async def test_a_device_without_a_controller_admits_it(self) -> None:
        async with served() as lab, lab.socket(await lab.cookie()) as tab:
            lab.core.running = False
            await type_keys(tab, f"{PIN}#")
            seen = await state(tab, screen("failed"))
            assert not seen["device"]["relays"][0]["released"]


class TestTabs:
    async def test_two_tabs_show_the_same(self) -> None:
        async with served() as lab:
            cookie = await lab.cookie()
            async with lab.socket(cookie) as one, lab.socket(cookie) as other:
                await state(one)
                await type_keys(one, "47")
                assert (await state(other, screen("typing")))["device"]["typed"] in (1, 2)
                await act(other, act="key", key="1")
                await state(one, lambda state: state["device"]["typed"] == 3)
                await act(other, act="clear")
                await state(one, screen("idle"))

    async def test_a_tab_that_never_reads_slows_nobody(self) -> None:
        async with served() as lab:
            cookie = await lab.cookie()
            async with lab.socket(cookie) as lazy, lab.socket(cookie) as tab:
                await lazy.recv()
                slowest = 0.0
                for at in range(60):
                    began = time.monotonic()
                    await act(tab, act="tamper", on=at % 2 == 0)
                    await state(tab, lambda state, at=at: state["device"]["tamper"] is (at % 2 == 0))
                    slowest = max(slowest, time.monotonic() - began)
                assert slowest < 1
                lazy.transport.abort()

    async def test_changes_are_pushed_together_and_not_one_by_one(self) -> None:
        async with served() as lab, lab.socket(await lab.cookie()) as tab:
            await state(tab)
            for _ in range(500):
                lab.station.touch()
                await asyncio.sleep(0)
            lab.station.phone.tamper(True, lab.station.now())
            lab.station.touch()
            count = 1
            while not (await state(tab))["device"]["tamper"]:
                count += 1
            assert count < 20

    async def test_a_removed_device_lets_its_tabs_go(self) -> None:
        async with served() as lab, lab.socket(await lab.cookie()) as tab:
            await state(tab)
            del lab.lab.stations[DEVICE]
            with pytest.raises(ConnectionClosed):
                async with asyncio.timeout(5):
                    while True:
                        await tab.recv()
