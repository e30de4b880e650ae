"""Claiming an identity and pulling the feed over HTTPS: exact for the right one, the same silence for all others."""

from __future__ import annotations

import base64
import gzip
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.http import HttpResponse
from django.test import Client

from gatehouse.cloud.devices.models import Gateway
from gatehouse.cloud.devices.services import issue_claim_code, revoke_gateway
from gatehouse.cloud.journal.models import Entry
from gatehouse.cloud.kit import clock
from gatehouse.wire.messages import Claim, Claimed, FeedPage, decode, encode
from tests.cast import Cast, Place
from tests.link.conftest import claimed, compiled, inside


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set the clock that the interface reads."""

    def set_to(moment: datetime) -> None:
        monkeypatch.setattr(clock, "now", lambda: moment)

    return set_to


def code_of(place: Place) -> str:
    with inside(place.site.id) as actor:
        return issue_claim_code(actor=actor, gateway=Gateway.objects.get(pk=place.gateway.pk), now=clock.now())


def post(code: str, address: str = "198.51.100.7", host: str = "doors.example.org") -> HttpResponse:
    body = encode(Claim(code=code, version="0.1.0"))
    client = Client(enforce_csrf_checks=True)
    return client.post("/link/v1/claim", body, "application/json", REMOTE_ADDR=address, HTTP_HOST=host)  # type: ignore[return-value]


@pytest.fixture(autouse=True)
def hosts(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["*"]


class TestClaim:
    @pytest.mark.req("GH-GW-01")
    def test_a_code_becomes_an_identity_once(self, committed_cast: Cast) -> None:
        here = committed_cast.here
        code = code_of(here)
        answer = post(code)
        assert answer.status_code == 200
        assert not answer.cookies
        claim = decode(Claimed, answer.content)
        assert (claim.gateway, claim.site) == (str(here.gateway.id), str(here.site.id))
        assert (claim.mqtt_host, claim.mqtt_tls) == ("doors.example.org", True)
        assert len(base64.urlsafe_b64decode(claim.secret + "=")) == 32
        with inside(here.site.id):
            row = Gateway.objects.get(pk=here.gateway.pk)
            assert row.claimed_at is not None
            assert claim.secret not in (row.secret_digest, row.broker_hash)
            assert Entry.objects.filter(verb="gateway.claimed", object_id=row.pk).count() == 1
        assert post(code).status_code == 403

    def test_on_the_same_machine_the_broker_is_near(self, committed_cast: Cast) -> None:
        for host in ("127.0.0.1:8000", "localhost:8000", "[::1]:8000"):
            claim = decode(Claimed, post(code_of(committed_cast.here), host=host).content)
            assert (claim.mqtt_host, claim.mqtt_tls) == ("127.0.0.1", False)

    @pytest.mark.req("GH-GW-E1", "GH-GW-01")
    def test_wrong_used_and_expired_codes_look_the_same(self, committed_cast: Cast, at: Any) -> None:
        used = code_of(committed_cast.here)
        post(used)
        expired = code_of(committed_cast.elsewhere)
        at(clock.now() + timedelta(minutes=15, seconds=1))
        answers = [post(code) for code in ("A" * 20, used, expired)]
        answers.append(
            Client().post("/link/v1/claim", b"{garbage", "application/json", REMOTE_ADDR="198.51.100.7")  # type: ignore[arg-type]
        )
        assert len({(a.status_code, a.content, tuple(sorted(a.headers))) for a in answers}) == 1
        assert (answers[0].status_code, answers[0].content) == (403, b'{"code":"claim.refused"}')

    @pytest.mark.req("GH-GW-01")
    def test_a_newer_code_makes_an_older_one_void(self, committed_cast: Cast) -> None:
        older = code_of(committed_cast.here)
        newer = code_of(committed_cast.here)
        assert post(older).status_code == 403
        assert post(newer).status_code == 200

    @pytest.mark.req("GH-GW-E1")
    def test_ten_wrong_codes_pause_their_address_and_no_other(self, committed_cast: Cast, at: Any) -> None:
        begun = clock.now()
        at(begun)
        code = code_of(committed_cast.here)
        assert [post("B" * 20).status_code for _ in range(10)] == [403] * 10
        paused = post(code)
        assert paused.status_code == 429
        assert 0 < int(paused["Retry-After"]) <= 601
        assert post("B" * 20, address="198.51.100.8").status_code == 403
        at(begun + timedelta(minutes=10, seconds=1))
        assert post(code).status_code == 200

    @pytest.mark.req("GH-GW-E1")
    def test_wrong_codes_far_apart_pause_nobody(self, committed_cast: Cast, at: Any) -> None:
        begun = clock.now()
        for number in range(24):
            at(begun + timedelta(minutes=2 * number))
            assert post("C" * 20).status_code == 403

    @pytest.mark.req("GH-GW-E1")
    def test_neighbours_in_one_network_of_ipv6_count_as_one(self, committed_cast: Cast) -> None:
        assert [post("D" * 20, address=f"2001:db8::{n}").status_code for n in range(1, 11)] == [403] * 10
        assert post("D" * 20, address="2001:db8::ffff").status_code == 429
        assert post("D" * 20, address="2001:db8:0:1::1").status_code == 403

    def test_only_a_post_claims(self, committed_cast: Cast) -> None:
        assert Client().get("/link/v1/claim").status_code == 405


def pull(user: str, secret: str, query: str = "epoch=&since=0", **headers: str) -> HttpResponse:
    basic = base64.b64encode(f"{user}:{secret}".encode()).decode()
    return Client().get(f"/link/v1/feed?{query}", headers={"Authorization": f"Basic {basic}", **headers})  # type: ignore[return-value]


class TestFeed:
    def test_a_gateway_gets_its_feed_and_none_of_another_site(self, committed_cast: Cast) -> None:
        here, elsewhere = committed_cast.here, committed_cast.elsewhere
        secret = claimed(here.gateway)
        for place in (here, elsewhere):
            compiled(place.site.id)
        answer = pull(str(here.gateway.id), secret)
        assert answer.status_code == 200
        page = decode(FeedPage, answer.content)
        assert page.reset
        assert f"device:{here.device.id}" in {entry.key for entry in page.entries}
        for foreign in (elsewhere.site.id, elsewhere.device.id, elsewhere.company.pk):
            assert str(foreign).encode() not in answer.content
        zipped = pull(str(here.gateway.id), secret, **{"Accept-Encoding": "gzip"})
        assert zipped["Content-Encoding"] == "gzip"
        assert decode(FeedPage, gzip.decompress(zipped.content)) == page
        again = decode(
            FeedPage, pull(str(here.gateway.id), secret, f"epoch={page.epoch}&since={page.revision}").content
        )
        assert (again.entries, again.reset, again.revision) == ([], False, page.revision)

    @pytest.mark.req("OFF-DVC-E01", "GH-GW-09")
    def test_without_the_right_secret_there_is_no_data(self, committed_cast: Cast) -> None:
        here, elsewhere = committed_cast.here, committed_cast.elsewhere
        secret, foreign = claimed(here.gateway), claimed(elsewhere.gateway)
        gateway = str(here.gateway.id)
        tries = [(gateway, "wrong"), (gateway, foreign), (str(uuid4()), secret), ("no id", secret), (gateway, "")]
        answers = [pull(*each) for each in tries]
        answers += [Client().get("/link/v1/feed"), Client().get("/link/v1/feed", headers={"Authorization": "Basic %%"})]  # type: ignore[list-item]
        assert {(a.status_code, a.content) for a in answers} == {(401, b'{"code":"sign_in.refused"}')}
        with inside(here.site.id) as actor:
            revoke_gateway(actor=actor, gateway=Gateway.objects.get(pk=here.gateway.pk), now=clock.now())
        assert pull(gateway, secret).status_code == 401

    def test_nonsense_in_the_query_is_refused_or_begins_anew(self, committed_cast: Cast) -> None:
        here = committed_cast.here
        secret = claimed(here.gateway)
        compiled(here.site.id)
        for since in ("-1", "x", "9" * 30, "²", "1.5"):
            assert pull(str(here.gateway.id), secret, f"since={since}").status_code == 400
        assert decode(FeedPage, pull(str(here.gateway.id), secret, "epoch=x%00y&since=5&cursor=a.b").content).reset
