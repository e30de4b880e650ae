"""The lab's pages: bare frames that name what the island needs; what is seen is drawn by `lab.ts`."""

from __future__ import annotations

import functools
import html
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gatehouse.lab import words
from gatehouse.lab.config import DeviceConfig, LabConfig

STATIC = Path(__file__).parent / "static" / "dist"


@functools.lru_cache(maxsize=4)
def _manifest(changed_ns: int) -> dict[str, str]:
    names: dict[str, str] = json.loads((STATIC / "manifest.json").read_bytes())
    return {plain: f"/static/{hashed}" for plain, hashed in names.items()}


def built() -> dict[str, str]:
    """Addresses of the built files by their plain names. Raises FileNotFoundError when they were not built."""
    return _manifest((STATIC / "manifest.json").stat().st_mtime_ns)


def panel(device: DeviceConfig, lab: LabConfig, state: dict[str, Any]) -> str:
    """The panel of one device. Everything the island needs is in one block of JSON."""
    language = words.spoken(device.language)
    known = {
        "socket": f"/panel/{device.id}/socket",
        "name": device.name,
        "site": device.site_name,
        "zone": device.zone,
        "mac": _mac(device),
        "type": device.type,
        "native": device.native,
        "language": language,
        "direction": words.direction(device.language),
        "words": words.device_words(device.language),
        "reasons": words.REASONS,
        "methods": words.METHODS,
        "cards": [
            {"label": card.label, "text": card.text, "notation": card.notation, "person": card.person}
            for card in lab.cards
        ],
        "pins": [{"label": pin.label, "text": pin.text, "note": pin.note} for pin in lab.pins],
        "state": state,
    }
    block = json.dumps(known, ensure_ascii=False).replace("<", "\\u003c")
    body = f'<div id="lab"></div><script type="application/json" id="known">{block}</script>'
    return _frame(f"{device.name}, {device.site_name}", body, island=True)


def devices(mine: Iterable[DeviceConfig], portal: str) -> str:
    """The virtual devices that this visitor may touch."""
    icon = built()["icons.svg"]
    items = "".join(
        f'<li><a href="/panel/{html.escape(device.id, quote=True)}">'
        f'<svg class="gh-glyph" aria-hidden="true"><use href="{icon}#door-closed"/></svg>'
        f"<span><b><bdi>{html.escape(device.name)}</bdi></b>"
        f"<small><bdi>{html.escape(device.site_name)}</bdi> · {_kind(device)}<br>"
        f'<span class="gh-ltr">{_mac(device)}</span></small></span>'
        f'<svg class="gh-i gh-flip" aria-hidden="true"><use href="{icon}#chevron-right"/></svg></a></li>'
        for device in mine
    )
    listed = f'<ul class="gh-places">{items}</ul>' if items else "<p>There are no virtual devices for you yet.</p>"
    return _lone("Lab", "Virtual devices, for trying everything with. Open one and use your hands.", listed, portal)


def stranger(portal: str, *, too_late: bool) -> str:
    """For somebody who did not come through the portal, or whose way in is too old."""
    why = (
        "This way in has been used too late. Open the lab from the portal once more."
        if too_late
        else "The lab is opened from the portal: sign in there and choose Lab in the menu."
    )
    return _lone("Come in through the portal", why, "", portal)


def unknown() -> str:
    """For a device that is not here, or not for this visitor."""
    return _lone("No such device", "It is not in this lab, or not among those you may use.", "", "/", "All devices")


def _kind(device: DeviceConfig) -> str:
    count = len(device.relays)
    how = "speaks for itself" if device.native else "behind the gateway"
    return f"{count} {'relay' if count == 1 else 'relays'}, {how}"


def _mac(device: DeviceConfig) -> str:
    return html.escape(":".join(device.mac[at : at + 2] for at in range(0, len(device.mac), 2)))


def _lone(title: str, text: str, more: str, way: str, label: str = "Go to the portal") -> str:
    icon = built()["icons.svg"]
    body = (
        f'<main class="gh-lone"><div class="gh-lone-in"><svg class="gh-logo" aria-hidden="true">'
        f'<use href="{icon}#logo"/></svg><h1>{html.escape(title)}</h1><p>{html.escape(text)}</p>{more}'
        f'<a class="gh-lone-way" href="{html.escape(way, quote=True)}">{html.escape(label)}</a></div></main>'
    )
    return _frame(title, body, island=False)


def _frame(title: str, body: str, *, island: bool) -> str:
    files = built()
    script = f'<script type="module" src="{files["lab.js"]}"></script>' if island else ""
    return (
        f'<!doctype html><html lang="en" dir="ltr" data-bs-theme="light" data-gh-icons="{files["icons.svg"]}"><head>'
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{html.escape(title)} · Gatehouse lab</title><script src="{files["theme.js"]}"></script>'
        f'<link rel="icon" href="{files["favicon.svg"]}"><link rel="stylesheet" href="{files["lab.css"]}">{script}</head><body>{body}'
        "<noscript>The panel needs scripts.</noscript></body></html>"
    )
