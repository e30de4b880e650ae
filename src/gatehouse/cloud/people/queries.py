"""Reading what is sealed."""

from __future__ import annotations

from gatehouse.cloud.authz.actor import Actor
from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.kit import seal
from gatehouse.cloud.people.models import Credential


def code_of(actor: Actor, credential: Credential) -> str:
    """The PIN or card number in clear, for people who may edit it. Raises Denied otherwise."""
    actor.require(P.CREDENTIAL_EDIT, credential)
    if credential.secret is None:
        return ""
    return seal.unseal(
        bytes(credential.secret), table="people_credential", site=credential.site_id, row=credential.id, field="secret"
    )
