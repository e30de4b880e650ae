"""Addresses of the portal. `/s/<site>/...` is a site's; nothing depends on what the session holds."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from gatehouse.cloud.portal.dashboard import views as dashboard
from gatehouse.cloud.portal.devices import views as devices
from gatehouse.cloud.portal.gateways import views as gateways
from gatehouse.cloud.portal.journal import views as journal
from gatehouse.cloud.portal.logs import views as logs
from gatehouse.cloud.portal.people import views as people
from gatehouse.cloud.portal.sign_in import views as sign_in
from gatehouse.cloud.portal.sites import views as sites
from gatehouse.cloud.portal.stream import views as stream

app_name = "portal"

Tree = list[URLPattern | URLResolver]

_logs: Tree = [
    path("doors/", logs.door_log, name="door_log"),
    path("doors/rows", logs.door_log_rows, name="door_log_rows"),
    path("doors/<uuid:passage>/", logs.passage, name="passage"),
]
_devices: Tree = [
    path("", devices.device_list, name="device_list"),
    path("<uuid:device>/", devices.device_detail, name="device_detail"),
]
_people: Tree = [
    path("", people.person_list, name="person_list"),
    path("<uuid:holder>/", people.person_detail, name="person_detail"),
    path("<uuid:holder>/pin/", people.change_pin, name="change_pin"),
]
_gateways: Tree = [
    path("", gateways.gateway_list, name="gateway_list"),
    path("<uuid:gateway>/claim/", gateways.claim_code, name="claim_code"),
]
_journal: Tree = [path("", journal.entry_list, name="entry_list")]

_site: Tree = [
    path("", dashboard.dashboard, name="dashboard"),
    path("relays/<uuid:relay>/open/", devices.open_relay, name="open_relay"),
    path("lab/", devices.lab, name="lab"),
    path("stream", stream.stream, name="stream"),
    path("logs/", include((_logs, "logs"))),
    path("devices/", include((_devices, "devices"))),
    path("people/", include((_people, "people"))),
    path("gateways/", include((_gateways, "gateways"))),
    path("journal/", include((_journal, "journal"))),
]

urlpatterns: Tree = [
    path("", sites.home, name="home"),
    path("sites/", sites.choose, name="sites"),
    path("sign-in/", sign_in.enter, name="sign_in"),
    path("sign-out/", sign_in.leave, name="sign_out"),
    path("language/", sign_in.language, name="language"),
    path("s/<uuid:site>/", include(_site)),
]
