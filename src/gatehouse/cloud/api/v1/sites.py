"""Sites, and at an office its companies and their groups of people."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from ninja import Router, Schema

from gatehouse.cloud.api.manners import Answer, Request, endpoint
from gatehouse.cloud.api.shapes import Cursor, Limit, Page, page_by_id
from gatehouse.cloud.authz.actor import Actor
from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.kit.errors import NotFound
from gatehouse.cloud.premises.models import Company, PeopleGroup
from gatehouse.cloud.tenants.models import Site

router = Router(tags=["sites"])


class SiteOut(Schema):
    """A community, an office or a home. Local times at it are those of `zone`."""

    id: UUID
    kind: str
    name: str
    zone: str
    language: str


class CompanyOut(Schema):
    """A company of an office."""

    id: UUID
    name: str


class PeopleGroupOut(Schema):
    """People of a company who share rights."""

    id: UUID
    name: str
    company: UUID


def _site(row: Site) -> SiteOut:
    return SiteOut(id=row.id, kind=row.kind, name=row.name, zone=row.zone, language=row.language)


def _company(row: Company) -> CompanyOut:
    return CompanyOut(id=row.pk, name=row.name)


def _people_group(row: PeopleGroup) -> PeopleGroupOut:
    return PeopleGroupOut(id=row.id, name=row.name, company=row.company_id)


def _sites(rows: Sequence[Site]) -> list[SiteOut]:
    return [_site(row) for row in rows]


def _companies(rows: Sequence[Company]) -> list[CompanyOut]:
    return [_company(row) for row in rows]


def _people_groups(rows: Sequence[PeopleGroup]) -> list[PeopleGroupOut]:
    return [_people_group(row) for row in rows]


def people_groups_of(actor: Actor) -> QuerySet[PeopleGroup]:
    """Groups of the site; of his company for a company's administrator."""
    rows = PeopleGroup.objects.visible_to(actor)
    return rows.filter(company_id=actor.party) if actor.party else rows


@router.get("/sites", response=Page[SiteOut], url_name="sites", summary="Sites of the token")
@endpoint(P.SITE_VIEW)
def site_list(request: Request, cursor: Cursor = "", limit: Limit = 50) -> Page[SiteOut]:
    """In the order in which they were made."""
    return Page[SiteOut](**page_by_id(Site.objects.visible_to(request.actor), cursor, limit, _sites))


@router.get("/sites/{uuid:site}", response=SiteOut, url_name="site", summary="One site")
@endpoint(P.SITE_VIEW)
def site_detail(request: Request, site: UUID) -> Answer:
    """With its version as ETag."""
    return Answer(_site(request.site), version=request.site.row_version)


@router.get(
    "/sites/{uuid:site}/companies", response=Page[CompanyOut], url_name="companies", summary="Companies of an office"
)
@endpoint(P.PREMISES_VIEW)
def company_list(request: Request, site: UUID, cursor: Cursor = "", limit: Limit = 50) -> Page[CompanyOut]:
    """In the order in which they were made."""
    return Page[CompanyOut](**page_by_id(Company.objects.visible_to(request.actor), cursor, limit, _companies))


@router.get(
    "/sites/{uuid:site}/companies/{uuid:company}", response=CompanyOut, url_name="company", summary="One company"
)
@endpoint(P.PREMISES_VIEW)
def company_detail(request: Request, site: UUID, company: UUID) -> Answer:
    """With its version as ETag."""
    row = Company.objects.get_visible(request.actor, company)
    return Answer(_company(row), version=row.row_version)


@router.get(
    "/sites/{uuid:site}/people-groups",
    response=Page[PeopleGroupOut],
    url_name="people_groups",
    summary="Groups of people",
)
@endpoint(P.PERSON_VIEW)
def people_group_list(
    request: Request, site: UUID, company: UUID | None = None, cursor: Cursor = "", limit: Limit = 50
) -> Page[PeopleGroupOut]:
    """In the order in which they were made; those of one `company` when it is given."""
    rows = people_groups_of(request.actor)
    rows = rows.filter(company_id=company) if company else rows
    return Page[PeopleGroupOut](**page_by_id(rows, cursor, limit, _people_groups))


@router.get(
    "/sites/{uuid:site}/people-groups/{uuid:people_group}",
    response=PeopleGroupOut,
    url_name="people_group",
    summary="One group of people",
)
@endpoint(P.PERSON_VIEW)
def people_group_detail(request: Request, site: UUID, people_group: UUID) -> Answer:
    """With its version as ETag."""
    row = people_groups_of(request.actor).filter(pk=people_group).first()
    if row is None:
        raise NotFound("not_found", _("This does not exist, or not any more."))
    return Answer(_people_group(row), version=row.row_version)
