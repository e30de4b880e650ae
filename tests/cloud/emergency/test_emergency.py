"""Opening and closing a whole site."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gatehouse.cloud.emergency.models import EmergencyState
from gatehouse.cloud.emergency.services import set_emergency
from gatehouse.cloud.journal.models import Entry
from gatehouse.cloud.kit import seal
from gatehouse.cloud.kit.errors import Denied, NotFound
from gatehouse.wire.messages import emergency_bytes
from tests.cast import NOW, Cast


def test_each_act_is_one_signed_row_with_a_higher_number(cast: Cast) -> None:
    site, alice = cast.here.site, cast.alice_actor
    rows = [set_emergency(actor=alice, site=site, state=state, now=NOW) for state in ("open", "open", "closed", "open")]
    assert [row.counter for row in rows] == [1, 2, 3, 4]
    assert rows[0].emergency == rows[1].emergency == rows[2].emergency != rows[3].emergency
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(seal.emergency_public_key(site.id)))
    for row in rows:
        text = emergency_bytes(str(site.id), str(row.emergency), row.state, row.counter, int(NOW.timestamp() * 1000))
        key.verify(bytes.fromhex(row.signature), text)
    assert (rows[0].actor_id, rows[0].actor_label, rows[0].origin) == (cast.alice.id, "Alice Moreau", "portal")
    verbs = Entry.objects.filter(verb__startswith="emergency.").order_by("at", "id").values_list("verb", flat=True)
    assert sorted(verbs) == ["emergency.closed", "emergency.open", "emergency.open", "emergency.open"]


def test_closing_before_anything_was_opened_is_heard_too(cast: Cast) -> None:
    row = set_emergency(actor=cast.alice_actor, site=cast.here.site, state="closed", now=NOW)
    assert (row.state, row.counter) == ("closed", 1)


def test_sites_have_keys_of_their_own(cast: Cast) -> None:
    keys = {seal.emergency_public_key(place.site.id) for place in (cast.here, cast.elsewhere)}
    assert len(keys) == 2


def test_who_may_not_opens_nothing(cast: Cast) -> None:
    with pytest.raises(Denied):
        set_emergency(actor=cast.actor(cast.bob), site=cast.here.site, state="open", now=NOW)
    with pytest.raises(NotFound):
        set_emergency(actor=cast.actor(cast.mallory, cast.elsewhere), site=cast.here.site, state="open", now=NOW)
    assert not EmergencyState.objects.exists()
