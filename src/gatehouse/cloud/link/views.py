"""What gateways ask over HTTPS: an identity against a claim code, and pages of the feed.

No session, no cookie, no detail in a refusal. Answers are wire messages.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import ipaddress
import logging
import os
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from gatehouse.cloud.authz.actor import enter
from gatehouse.cloud.feed.pages import page_for
from gatehouse.cloud.kit import clock
from gatehouse.cloud.kit.errors import DomainError
from gatehouse.cloud.link.services.claims import Paused, claim, device_actor, sign_in
from gatehouse.wire.messages import Claim, Claimed, Message, Unreadable, decode, encode

log = logging.getLogger(__name__)

_MOST_CLAIM_BYTES = 16 * 1024
_ZIP_FROM_BYTES = 1_000


@csrf_exempt
@require_POST
def claim_view(request: HttpRequest) -> HttpResponse:
    """POST /link/v1/claim."""
    try:
        asked = decode(Claim, request.body, _MOST_CLAIM_BYTES)
    except Unreadable:
        asked = Claim(code="", version="")  # counts like any wrong code
    address = request.META.get("REMOTE_ADDR", "")
    version = asked.version.replace("\0", "")
    try:
        claimed = claim(code=asked.code, version=version, address=address, now=clock.now())
    except Paused as paused:
        log.warning("claims paused", extra={"address": address})
        return _refused(429, "claim.paused", **{"Retry-After": str(paused.seconds)})
    if claimed is None:
        log.info("claim refused", extra={"address": address})
        return _refused(403, "claim.refused")
    host, port, tls = _broker_for(request)
    return _answer(
        request,
        Claimed(
            gateway=str(claimed.gateway.id),
            site=str(claimed.gateway.site_id),
            secret=claimed.secret,
            mqtt_host=host,
            mqtt_port=port,
            mqtt_tls=tls,
            ca_pem=_authority(),
        ),
    )


@require_GET
def feed_view(request: HttpRequest) -> HttpResponse:
    """GET /link/v1/feed?epoch=&since=&cursor=, signed in with gateway id and secret."""
    who = _credentials(request.headers.get("Authorization", ""))
    site = sign_in(*who) if who else None
    if who is None or site is None:
        log.info("feed refused", extra={"address": request.META.get("REMOTE_ADDR", "")})
        return _refused(401, "sign_in.refused", **{"WWW-Authenticate": 'Basic realm="gatehouse"'})
    gateway = UUID(who[0])
    enter(device_actor(gateway, site))
    since = request.GET.get("since", "0")
    if not (since.isascii() and since.isdigit() and len(since) <= 18):
        return _refused(400, "since.invalid")
    try:
        page = page_for(gateway, request.GET.get("epoch") or None, int(since), request.GET.get("cursor") or None)
    except DomainError as error:
        log.info("no page", extra={"gateway": str(gateway), "why": error.code})
        return _refused(503, error.code)
    return _answer(request, page)


@require_GET
def health_view(request: HttpRequest) -> HttpResponse:
    """GET /link/v1/health: somebody is here."""
    return HttpResponse(b'{"ok":true}', content_type="application/json")


def _credentials(header: str) -> tuple[str, str] | None:
    kind, _, text = header.partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        user, colon, secret = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (user, secret) if colon else None


def _broker_for(request: HttpRequest) -> tuple[str, int, bool]:
    """Host, port and whether TLS: the broker stands where the gateway found the cloud."""
    host = request.get_host()
    host = host[1 : host.index("]")] if host.startswith("[") else host.partition(":")[0]
    try:
        near = ipaddress.ip_address(host).is_loopback
    except ValueError:
        near = host == "localhost"
    return ("127.0.0.1", settings.MQTT_PORT, False) if near else (host, settings.MQTT_TLS_PORT, True)


def _authority() -> str | None:
    """The installation's own certificate authority, unless the operator brought a certificate."""
    path = settings.HOME / "tls" / "authority.crt"
    if os.environ.get("GATEHOUSE_TLS_CERT") or not path.exists():
        return None
    return str(path.read_text(encoding="ascii"))


def _answer(request: HttpRequest, message: Message) -> HttpResponse:
    body = encode(message)
    response = HttpResponse(content_type="application/json", headers={"Cache-Control": "no-store"})
    if len(body) >= _ZIP_FROM_BYTES and "gzip" in request.headers.get("Accept-Encoding", ""):
        body = gzip.compress(body, compresslevel=5, mtime=0)
        response["Content-Encoding"] = "gzip"
    response.content = body
    return response


def _refused(status: int, code: str, **headers: str) -> HttpResponse:
    return HttpResponse(
        b'{"code":"' + code.encode() + b'"}', status=status, content_type="application/json", headers=headers
    )
