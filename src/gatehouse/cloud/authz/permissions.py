"""Named permissions, roles, and what a delegation takes away.

Effective rights are a pure function of role, delegation and switches; nothing here reads a table.
Names are dotted and never renamed: API tokens and journals hold them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class P(StrEnum):
    """What somebody may do at a site, or with an organisation."""

    SITE_VIEW = "site.view"
    SITE_EDIT = "site.edit"
    SITE_CREATE = "site.create"
    ORGANISATION_VIEW = "organisation.view"
    ORGANISATION_EDIT = "organisation.edit"
    PREMISES_VIEW = "premises.view"
    PREMISES_EDIT = "premises.edit"
    PERSON_VIEW = "person.view"
    PERSON_EDIT = "person.edit"
    CREDENTIAL_EDIT = "credential.edit"
    ACCESS_VIEW = "access.view"
    ACCESS_EDIT = "access.edit"
    DEVICE_VIEW = "device.view"
    DEVICE_CONFIGURE = "device.configure"
    DEVICE_ADD = "device.add"
    GATEWAY_EDIT = "gateway.edit"
    RELAY_OPEN = "relay.open"
    LOG_READ = "log.read"
    JOURNAL_READ = "journal.read"
    EMERGENCY_CONFIGURE = "emergency.configure"
    EMERGENCY_ACT = "emergency.act"
    BILLING_EDIT = "billing.edit"
    SITE_LINK = "site.link"
    ACCOUNT_EDIT = "account.edit"
    # what processes do, never people
    LINK_SPEAK = "link.speak"
    SYSTEM = "system"


class Role(StrEnum):
    """Standing of an account in an organisation or at a site."""

    OPERATOR = "operator"
    DISTRIBUTOR = "distributor"
    INSTALLER = "installer"
    SUB_INSTALLER = "sub_installer"
    MANAGER = "manager"
    COMPANY_ADMIN = "company_admin"
    GUARD = "guard"
    MASTER = "master"
    MEMBER = "member"
    PERSONNEL = "personnel"
    DEVICE = "device"
    SYSTEM = "system"


_VIEW: Final = {P.SITE_VIEW, P.PREMISES_VIEW, P.PERSON_VIEW, P.ACCESS_VIEW, P.DEVICE_VIEW}
_MANAGE: Final = _VIEW | {
    P.SITE_EDIT,
    P.PREMISES_EDIT,
    P.PERSON_EDIT,
    P.CREDENTIAL_EDIT,
    P.ACCESS_EDIT,
    P.DEVICE_CONFIGURE,
    P.RELAY_OPEN,
    P.LOG_READ,
    P.JOURNAL_READ,
    P.EMERGENCY_CONFIGURE,
    P.ACCOUNT_EDIT,
}

ROLE_PERMISSIONS: Final[dict[Role, frozenset[P]]] = {
    # The operator runs the machine; people, credentials and logs of sites are not his to read (GH-OPS-12).
    Role.OPERATOR: frozenset({P.ORGANISATION_VIEW, P.ORGANISATION_EDIT, P.JOURNAL_READ}),
    Role.DISTRIBUTOR: frozenset({P.ORGANISATION_VIEW, P.ORGANISATION_EDIT, P.JOURNAL_READ}),
    Role.INSTALLER: frozenset(
        _MANAGE
        | {
            P.SITE_CREATE,
            P.ORGANISATION_VIEW,
            P.ORGANISATION_EDIT,
            P.DEVICE_ADD,
            P.GATEWAY_EDIT,
            P.BILLING_EDIT,
            P.SITE_LINK,
        }
    ),
    Role.SUB_INSTALLER: frozenset(
        _MANAGE | {P.SITE_CREATE, P.ORGANISATION_VIEW, P.DEVICE_ADD, P.GATEWAY_EDIT, P.BILLING_EDIT}
    ),
    Role.MANAGER: frozenset(_MANAGE | {P.EMERGENCY_ACT, P.BILLING_EDIT, P.SITE_LINK}),
    Role.COMPANY_ADMIN: frozenset(
        {
            P.SITE_VIEW,
            P.PERSON_VIEW,
            P.PERSON_EDIT,
            P.CREDENTIAL_EDIT,
            P.ACCESS_VIEW,
            P.ACCESS_EDIT,
            P.RELAY_OPEN,
            P.LOG_READ,
        }
    ),
    Role.GUARD: frozenset({P.SITE_VIEW, P.RELAY_OPEN}),
    Role.MASTER: frozenset({P.SITE_VIEW, P.RELAY_OPEN}),
    Role.MEMBER: frozenset({P.SITE_VIEW, P.RELAY_OPEN}),
    Role.PERSONNEL: frozenset({P.SITE_VIEW, P.RELAY_OPEN}),
    Role.DEVICE: frozenset({P.LINK_SPEAK}),
    Role.SYSTEM: frozenset(P),
}


class Delegation(StrEnum):
    """How somebody came to act for somebody else."""

    REDIRECT = "redirect"
    """An installer in the office portal (OFF-NAV-19..22)."""
    GRANT = "grant"
    """A distributor in an installer's account by the installer's grant (COM-DIST-01, E3)."""
    SUPPORT = "support"
    """Support staff in a timed session."""


DELEGATION_TAKES: Final[dict[Delegation, frozenset[P]]] = {
    Delegation.REDIRECT: frozenset({P.EMERGENCY_ACT, P.BILLING_EDIT, P.SITE_LINK}),
    Delegation.GRANT: frozenset({P.BILLING_EDIT, P.ACCOUNT_EDIT, P.ORGANISATION_EDIT}),
    Delegation.SUPPORT: frozenset({P.BILLING_EDIT, P.ACCOUNT_EDIT, P.ORGANISATION_EDIT, P.EMERGENCY_ACT, P.RELAY_OPEN}),
}


def effective(role: Role, *, delegation: Delegation | None = None, without: frozenset[P] = frozenset()) -> frozenset[P]:
    """Rights of a role, less what its delegation takes and what switches, features or the plan take."""
    rights = ROLE_PERMISSIONS[role] - without
    return rights - DELEGATION_TAKES[delegation] if delegation else rights
