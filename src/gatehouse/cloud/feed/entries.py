"""What each kind of entry says, as SQL over the tables of the domain.

One select per kind gives (key, payload, audience) of the things that exist. `{only}` narrows it to some keys,
or to nothing at all for a whole site. Payloads are those of `wire.messages`, with every field present, so
that one version contains another exactly when it takes nothing away (`compiler`). Lists are in a stable order,
so that equal means equal. A key itself is never stored: the site's entry holds a fingerprint of its lookup
key, and `pages` puts the key in as the entry leaves.
"""

from __future__ import annotations

import re
from typing import Final

SITE: Final = """
SELECT s.id AS key, jsonb_build_object(
         'kind', 'site', 'zone', s.zone, 'language', s.language, 'pin_mode', s.pin_mode, 'lookup_key', %(fingerprint)s::text
       ) AS payload, ARRAY[s.id] AS audience
FROM tenants_site s
WHERE s.id = %(site)s AND s.deleted_at IS NULL {only:s.id}
"""

DEVICE: Final = """
SELECT d.id AS key, jsonb_build_object(
         'kind', 'device', 'id', d.id, 'type', d.type, 'name', d.name, 'mac', h.mac,
         'relays', coalesce(r.list, '[]'), 'settings', coalesce(t.map, '{}')
       ) AS payload, ARRAY[d.id] AS audience
FROM devices_device d
LEFT JOIN devices_binding b ON b.site_id = d.site_id AND b.device_id = d.id AND upper_inf(b.during)
LEFT JOIN devices_hardware h ON h.id = b.hardware_id
LEFT JOIN (
  SELECT r.device_id, jsonb_agg(jsonb_build_object(
           'id', r.id, 'kind', r.kind, 'position', r.position, 'name', r.name, 'enabled', r.enabled,
           'methods', (SELECT coalesce(jsonb_agg(m ORDER BY m), '[]') FROM unnest(r.methods) m), 'hold_ms', r.hold_ms
         ) ORDER BY r.kind, r.position) AS list
  FROM devices_relay r WHERE r.site_id = %(site)s AND r.deleted_at IS NULL {only:r.device_id}
  GROUP BY r.device_id
) r ON r.device_id = d.id
CROSS JOIN LATERAL (
  SELECT jsonb_object_agg(key, value #>> '{}') AS map
  FROM jsonb_each(CASE WHEN jsonb_typeof(d.settings) = 'object' THEN d.settings ELSE '{}' END)
  WHERE value <> 'null'
) t
WHERE d.site_id = %(site)s AND d.deleted_at IS NULL {only:d.id}
"""

ACCESS_GROUP: Final = """
SELECT a.id AS key, jsonb_build_object(
         'kind', 'access_group', 'id', a.id, 'windows', coalesce(w.list, '[]'), 'relays', coalesce(r.list, '[]')
       ) AS payload, ARRAY[a.id] AS audience
FROM access_accessgroup a
LEFT JOIN (
  SELECT w.access_group_id, jsonb_agg(jsonb_build_object(
           'kind', w.kind, 'start', w.start_min, 'length', w.length_min, 'days', w.days,
           'from', to_char(w.from_local, 'YYYY-MM-DD"T"HH24:MI:SS'), 'until', to_char(w.until_local, 'YYYY-MM-DD"T"HH24:MI:SS')
         ) ORDER BY w.kind, w.start_min, w.length_min, w.days, w.from_local, w.until_local) AS list
  FROM access_window w WHERE w.site_id = %(site)s {only:w.access_group_id}
  GROUP BY w.access_group_id
) w ON w.access_group_id = a.id
LEFT JOIN (
  SELECT l.access_group_id, jsonb_agg(r.id ORDER BY r.id) AS list
  FROM access_accessgrouprelay l
  JOIN devices_relay r ON r.site_id = l.site_id AND r.id = l.relay_id AND r.deleted_at IS NULL
  JOIN devices_device d ON d.site_id = r.site_id AND d.id = r.device_id AND d.deleted_at IS NULL
  WHERE l.site_id = %(site)s {only:l.access_group_id}
  GROUP BY l.access_group_id
) r ON r.access_group_id = a.id
WHERE a.site_id = %(site)s {only:a.id}
"""

PEOPLE_GROUP: Final = """
SELECT p.id AS key, jsonb_build_object(
         'kind', 'people_group', 'id', p.id, 'access_groups', coalesce(g.list, '[]'), 'immune', p.immune
       ) AS payload, ARRAY[p.id] AS audience
FROM premises_peoplegroup p
LEFT JOIN (
  SELECT l.people_group_id, jsonb_agg(l.access_group_id ORDER BY l.access_group_id) AS list
  FROM access_accessgrouppeoplegroup l WHERE l.site_id = %(site)s {only:l.people_group_id}
  GROUP BY l.people_group_id
) g ON g.people_group_id = p.id
WHERE p.site_id = %(site)s {only:p.id}
"""

PARTY: Final = """
SELECT c.party_id AS key, jsonb_build_object(
         'kind', 'party', 'id', c.party_id, 'relays', coalesce(r.list, '[]')
       ) AS payload, ARRAY[c.party_id] AS audience
FROM premises_company c
LEFT JOIN (
  SELECT l.company_id, jsonb_agg(r.id ORDER BY r.id) AS list
  FROM access_companyrelay l
  JOIN devices_relay r ON r.site_id = l.site_id AND r.id = l.relay_id AND r.deleted_at IS NULL
  JOIN devices_device d ON d.site_id = r.site_id AND d.id = r.device_id AND d.deleted_at IS NULL
  WHERE l.site_id = %(site)s {only:l.company_id}
  GROUP BY l.company_id
) r ON r.company_id = c.party_id
WHERE c.site_id = %(site)s {only:c.party_id}
"""

HOLDER: Final = """
SELECT h.id AS key, jsonb_build_object(
         'kind', 'holder', 'id', h.id, 'party', o.party_id, 'people_group', p.people_group_id,
         'access_groups', coalesce(g.list, '[]'),
         'valid_from', to_char(h.valid_from_local, 'YYYY-MM-DD"T"HH24:MI:SS'), 'valid_until', to_char(h.valid_until_local, 'YYYY-MM-DD"T"HH24:MI:SS'),
         'credentials', coalesce(c.list, '[]')
       ) AS payload, array_remove(coalesce(g.ids, '{}') || p.people_group_id, NULL) AS audience
FROM people_holder h
LEFT JOIN people_person p ON p.site_id = h.site_id AND p.holder_id = h.id
LEFT JOIN premises_company o ON o.site_id = h.site_id AND o.party_id = h.party_id
LEFT JOIN (
  SELECT l.holder_id, jsonb_agg(l.access_group_id ORDER BY l.access_group_id) AS list,
         array_agg(l.access_group_id ORDER BY l.access_group_id) AS ids
  FROM access_accessgroupholder l WHERE l.site_id = %(site)s {only:l.holder_id}
  GROUP BY l.holder_id
) g ON g.holder_id = h.id
LEFT JOIN (
  SELECT c.holder_id, jsonb_agg(jsonb_build_object('id', c.id, 'kind', c.kind, 'lookup', c.digest) ORDER BY c.id) AS list
  FROM people_credential c WHERE c.site_id = %(site)s AND c.state = 'live' {only:c.holder_id}
  GROUP BY c.holder_id
) c ON c.holder_id = h.id
WHERE h.site_id = %(site)s {only:h.id}
"""

FRESH: Final = {
    "site": SITE,
    "device": DEVICE,
    "access_group": ACCESS_GROUP,
    "people_group": PEOPLE_GROUP,
    "holder": HOLDER,
    "party": PARTY,
}
"""One select per kind, in the order in which they are compiled: each may add to those after it."""


_ONLY: Final = re.compile(r"\{only:([a-z_.]+)\}")


def narrowed(sql: str, some: bool) -> str:
    """The select for `%(keys)s` when `some`, else for the whole site."""
    return _ONLY.sub(r"AND \1 = ANY(%(keys)s)" if some else "", sql)


INTEREST: Final = {
    "site": """
SELECT g.id AS gateway_id, s.id AS key
FROM devices_gateway g JOIN tenants_site s ON s.id = g.site_id AND s.deleted_at IS NULL
WHERE g.site_id = %(site)s AND g.revoked_at IS NULL {only:s.id}
""",
    "device": """
SELECT g.id AS gateway_id, d.id AS key
FROM devices_device d
JOIN devices_gateway g ON g.site_id = d.site_id AND g.id = d.gateway_id AND g.revoked_at IS NULL
JOIN tenants_site s ON s.id = g.site_id AND s.deleted_at IS NULL
WHERE d.site_id = %(site)s AND d.deleted_at IS NULL {only:d.id}
""",
    "access_group": """
SELECT DISTINCT i.gateway_id, l.access_group_id AS key
FROM access_accessgrouprelay l
JOIN devices_relay r ON r.site_id = l.site_id AND r.id = l.relay_id AND r.deleted_at IS NULL
JOIN feed_interest i ON i.site_id = r.site_id AND i.key = r.device_id AND i.ended IS NULL
WHERE l.site_id = %(site)s {only:l.access_group_id}
""",
    "people_group": """
SELECT DISTINCT i.gateway_id, l.people_group_id AS key
FROM access_accessgrouppeoplegroup l
JOIN feed_interest i ON i.site_id = l.site_id AND i.key = l.access_group_id AND i.ended IS NULL
WHERE l.site_id = %(site)s {only:l.people_group_id}
""",
    "party": """
SELECT DISTINCT i.gateway_id, l.company_id AS key
FROM access_companyrelay l
JOIN devices_relay r ON r.site_id = l.site_id AND r.id = l.relay_id AND r.deleted_at IS NULL
JOIN feed_interest i ON i.site_id = r.site_id AND i.key = r.device_id AND i.ended IS NULL
WHERE l.site_id = %(site)s {only:l.company_id}
""",
}
"""Which gateway needs which key, per kind: (gateway_id, key). Later kinds stand on the interest in earlier ones.

A company's limit goes only where it has doors: who names a company that is not there reaches nothing.
"""
