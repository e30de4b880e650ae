"""What waits in the link: lanes, live news, the broker's files."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from gatehouse.cloud.devices.models import Gateway
from gatehouse.cloud.link.identities import reconcile
from gatehouse.cloud.link.lanes import SHORT, Lanes, Waiting
from gatehouse.cloud.link.live import MOST_IDS, News
from gatehouse.run import broker as run_broker
from gatehouse.wire import topics
from tests.cast import NOW, Cast
from tests.link.conftest import claimed

AT = datetime(2026, 11, 21, tzinfo=UTC)


def waiting(gateway: UUID, size: int = 10, mark: bytes = b"x") -> Waiting:
    return Waiting(gateway, mark * size, AT)


class TestLanes:
    def test_a_gateway_never_has_more_than_one_batch_waiting(self) -> None:
        lanes, gateway = Lanes(), uuid4()
        for size in (10, SHORT + 1, 20, SHORT + 2):
            lanes.put_events(waiting(gateway, size))
        assert lanes.depth == 1
        assert [len(each.payload) for each in lanes.take_events(500)] == [SHORT + 2]
        assert lanes.counted["events.replaced"] == 3

    def test_short_batches_overtake_long_ones_which_still_move(self) -> None:
        lanes = Lanes()
        long = [uuid4() for _ in range(5)]
        short = [uuid4() for _ in range(50)]
        for gateway in long:
            lanes.put_events(waiting(gateway, 60_000))
        for gateway in short:
            lanes.put_events(waiting(gateway))
        first = [each.gateway for each in lanes.take_events(500)]
        assert set(short) <= set(first)
        assert first[0] == long[0]
        left = []
        while lanes.depth:
            left += [each.gateway for each in lanes.take_events(500)]
        assert [*first, *left].count(long[4]) == 1
        assert set(first + left) == {*long, *short}

    def test_what_could_not_be_stored_comes_back_unless_there_is_something_newer(self) -> None:
        lanes, one, two = Lanes(), uuid4(), uuid4()
        for gateway in (one, two):
            lanes.put_events(waiting(gateway, mark=b"a"))
        taken = lanes.take_events(500)
        lanes.put_events(waiting(two, mark=b"b"))
        lanes.put_back(taken)
        assert {each.gateway: each.payload[:1] for each in lanes.take_events(500)} == {one: b"a", two: b"b"}

    def test_control_messages_keep_their_order_and_only_the_newest_of_a_kind(self) -> None:
        lanes, gateway = Lanes(), uuid4()
        for kind, mark in (("presence", b"1"), ("hello", b"2"), ("presence", b"3"), ("status", b"4")):
            lanes.put_control(kind, waiting(gateway, 1, mark))
        taken = lanes.take_control(2)
        assert [(kind, each.payload) for kind, each in taken] == [("hello", b"2"), ("presence", b"3")]
        lanes.put_control("hello", waiting(gateway, 1, b"5"))
        lanes.put_control_back(taken)
        again = [(kind, each.payload) for kind, each in lanes.take_control(9)]
        assert again == [("presence", b"3"), ("status", b"4"), ("hello", b"5")]


class TestNews:
    def test_everything_is_told_once_in_small_pieces(self) -> None:
        news, sites = News(), [uuid4(), uuid4()]
        ids = [str(uuid4()) for _ in range(500)]
        for site in sites:
            news.add(site, "passages", ids)
            news.add(site, "passages", ids[:5])
            news.add(site, "doors", ids[:300])
        said = [json.loads(payload) for payload in news.take()]
        assert not news.fresh.is_set()
        assert news.take() == []
        for site in sites:
            for kind, number in (("passages", 500), ("doors", 300)):
                told = [each for payload in said if payload["site"] == str(site) for each in payload.get(kind, [])]
                assert told == ids[:number]

    def test_no_piece_is_larger_than_a_notification_may_be(self) -> None:
        news = News()
        for kind in ("passages", "alarms", "doors", "devices", "gateways", "commands"):
            news.add(uuid4(), kind, [str(uuid4()) for _ in range(3_000)])
        site = uuid4()
        for kind in ("passages", "alarms", "doors", "devices", "gateways", "commands"):
            news.add(site, kind, [str(uuid4()) for _ in range(57)])
        assert max(len(payload) for payload in news.take()) < 7_200

    def test_a_flood_is_cut_and_says_so(self) -> None:
        news, site = News(), uuid4()
        ids = [str(uuid4()) for _ in range(5_000)]
        news.add(site, "passages", ids)
        said = [json.loads(payload) for payload in news.take()]
        assert [each for payload in said for each in payload["passages"]] == ids[-MOST_IDS:]
        assert said[0]["more"] is True


class TestBrokerFiles:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "passwords").write_text(run_broker.password_line("link", "secret") + "\n")
        (tmp_path / "acl").write_text(run_broker.first_rules())
        return tmp_path

    def test_exactly_the_gateways_in_force_have_an_account_and_their_own_site(
        self, cast: Cast, folder: Path, as_role: Callable[[str], AbstractContextManager[None]]
    ) -> None:
        here, elsewhere = cast.here, cast.elsewhere
        kept = (folder / "passwords").read_text()
        claimed(here.gateway)
        with as_role("system"):
            assert reconcile(folder)
            passwords, rules = (folder / "passwords").read_text(), (folder / "acl").read_text()
            assert passwords.startswith(kept)
            assert [line.partition(":")[0] for line in passwords.splitlines()] == ["link", str(here.gateway.id)]
            assert f"user {here.gateway.id}\ntopic readwrite {topics.emergency(here.site.id)}\n" in rules
            assert str(elsewhere.site.id) not in rules
            assert oct((folder / "passwords").stat().st_mode & 0o777) == "0o600"
            before = (folder / "passwords").stat().st_mtime_ns
            assert not reconcile(folder)
            assert (folder / "passwords").stat().st_mtime_ns == before
            Gateway.objects.filter(pk=here.gateway.pk).update(revoked_at=NOW)
            assert reconcile(folder)
            assert (folder / "passwords").read_text() == kept
            assert str(here.gateway.id) not in (folder / "acl").read_text()

    def test_a_hash_that_would_break_the_brokers_file_never_gets_there(
        self, cast: Cast, folder: Path, as_role: Callable[[str], AbstractContextManager[None]]
    ) -> None:
        Gateway.objects.filter(pk=cast.here.gateway.pk).update(broker_hash="$7$1$x\nlink2:y")
        with as_role("system"):
            reconcile(folder)
        assert (folder / "passwords").read_text().count("\n") == 1
