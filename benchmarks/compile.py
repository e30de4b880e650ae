"""How fast does a site's feed come out of its tables, whole and after one change?

Work: an office of 100,000 people (one PIN each, a card every third, 5,000 with access groups of their own),
2,000 doors at 500 gateways, 3,000 access groups, 2,000 groups of people in 100 companies. Ours: one compile of
everything into an empty feed, committed with fsync: entries with their audience and history, and which
gateway needs what. Then single acts: somebody gets another PIN, the compile of that act alone.

Peer: DuckDB, which makes the same entries and the same interest from the same rows into a file of its own. It
keeps no history, no index and no constraint, and nothing can ask it for one gateway's part; it is how fast
this machine can join and write that much. Before anything is timed the two must have made the same, entry by
entry; in the end the feed after the single acts must be what a compile of everything would make.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import psycopg

from gatehouse.run import database, postgres
from gatehouse.run.home import free_port

QUICK = os.environ.get("QUICK") == "1"
PEOPLE, DOORS, GATEWAYS, GROUPS, PEOPLE_GROUPS, COMPANIES = 100_000, 2_000, 500, 3_000, 2_000, 100
TURNS = "ABBA" if QUICK else "ABBAABBAABBA"
CHANGES = 40 if QUICK else 200
TARGET_FULL, TARGET_CHANGE = 3.0, 1 / 1000
NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)

TABLES = {
    "site": "SELECT id, zone, language, pin_mode FROM tenants_site",
    "gateway": "SELECT id FROM devices_gateway",
    "device": "SELECT id, gateway_id, type, name FROM devices_device",
    "mac": "SELECT b.device_id, h.mac FROM devices_binding b JOIN devices_hardware h ON h.id = b.hardware_id",
    "relay": "SELECT id, device_id, kind, position, name, enabled, array_to_string(methods, '|'), hold_ms FROM devices_relay",
    "access_group": "SELECT id FROM access_accessgroup",
    "access_window": "SELECT access_group_id, kind, days, start_min, length_min, from_local, until_local FROM access_window",
    "group_relay": "SELECT access_group_id, relay_id FROM access_accessgrouprelay",
    "group_people": "SELECT access_group_id, people_group_id FROM access_accessgrouppeoplegroup",
    "group_holder": "SELECT access_group_id, holder_id FROM access_accessgroupholder",
    "company": "SELECT party_id FROM premises_company",
    "company_relay": "SELECT company_id, relay_id FROM access_companyrelay",
    "people_group": "SELECT id, company_id, immune FROM premises_peoplegroup",
    "holder": "SELECT id, party_id, valid_from_local, valid_until_local FROM people_holder",
    "person": "SELECT holder_id, people_group_id FROM people_person",
    "credential": "SELECT id, holder_id, kind, digest FROM people_credential WHERE state = 'live'",
}
"""What the compiler reads, and what the peer gets of it."""

LAYOUT = {
    "site": "id UUID, zone VARCHAR, language VARCHAR, pin_mode VARCHAR",
    "gateway": "id UUID",
    "device": "id UUID, gateway_id UUID, type VARCHAR, name VARCHAR",
    "mac": "device_id UUID, mac VARCHAR",
    "relay": "id UUID, device_id UUID, kind VARCHAR, position INT, name VARCHAR, enabled BOOL, methods VARCHAR, hold_ms INT",
    "access_group": "id UUID",
    "access_window": "access_group_id UUID, kind VARCHAR, days INT, start_min INT, length_min INT, "
    "from_local TIMESTAMP, until_local TIMESTAMP",
    "group_relay": "access_group_id UUID, relay_id UUID",
    "group_people": "access_group_id UUID, people_group_id UUID",
    "group_holder": "access_group_id UUID, holder_id UUID",
    "company": "party_id UUID",
    "company_relay": "company_id UUID, relay_id UUID",
    "people_group": "id UUID, company_id UUID, immune BOOL",
    "holder": "id UUID, party_id UUID, valid_from_local TIMESTAMP, valid_until_local TIMESTAMP",
    "person": "holder_id UUID, people_group_id UUID",
    "credential": "id UUID, holder_id UUID, kind VARCHAR, digest VARCHAR",
}


# --- The site -------------------------------------------------------------------------------------


@contextlib.contextmanager
def durable_server() -> Iterator[tuple[str, Path]]:
    """A PostgreSQL server with the settings of production: its superuser's address, and a folder beside it."""
    with tempfile.TemporaryDirectory(prefix="gatehouse-bench-", ignore_cleanup_errors=True) as text:
        folder = Path(text)
        who, binaries, port = postgres.system_account(), postgres.find_binaries(), free_port()
        folder.chmod(0o711)
        password = secrets.token_hex(16)
        postgres.make_cluster(folder / "data", password, who, binaries=binaries)
        with (folder / "postgres.log").open("ab") as log:
            process = postgres.start(folder / "data", port, who, binaries=binaries, log=log)
        try:
            dsn = postgres.superuser_dsn(port, password)
            postgres.wait_until_ready(dsn, process, folder / "postgres.log")
            yield dsn, folder
        finally:
            postgres.stop(process)


def migrated(superuser: str, folder: Path) -> None:
    """A database of ours; this process works in it as role system, as the worker does."""
    os.environ.update(
        DATABASE_URL=database.create_database(superuser, "bench"),
        GATEHOUSE_DB_ROLE="system",
        GATEHOUSE_HOME=str(folder),
        GATEHOUSE_MASTER_KEY="11" * 32,
        GATEHOUSE_SECRET_KEY="22" * 32,
        DJANGO_SETTINGS_MODULE="gatehouse.cloud.config.settings",
        GATEHOUSE_LOG_LEVEL="WARNING",
    )
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    connection.settings_dict["OPTIONS"] = {"options": "-c role=gatehouse_owner"}
    call_command("migrate", verbosity=0)
    connection.close()
    connection.settings_dict["OPTIONS"] = {"options": "-c role=gatehouse_system"}


def run(connection: psycopg.Connection[Any], statements: str, **values: Any) -> None:
    """Statements one after another, each with the same values."""
    for statement in filter(str.strip, statements.split(";\n")):
        connection.execute(statement, values)


ROOT_ROWS = """
INSERT INTO tenants_organisation (id, kind, name, zone, language, contact_email, contact_phone, features, created_at, row_version)
SELECT id(0, 0), 'operator', 'Operator', 'UTC', 'en', '', '', '{}', now(), 1;
INSERT INTO tenants_site (id, organisation_id, kind, name, country, state, city, post_code, street, zone, time_format,
  date_format, language, pin_mode, pin_min, call_step_s, capacity, switches, retention, created_at, row_version)
SELECT %(site)s, id(0, 0), 'office', 'Office', '', '', '', '', '', 'Europe/Berlin', '24h', 'ymd', 'en', 'pin', 4, 30, 5, '{}',
  '{}', now(), 1;
"""

SITE_ROWS = """
INSERT INTO devices_gateway (id, site_id, name, native, claimed_at, secret_digest, broker_hash, online, version, health,
  created_at, row_version)
SELECT id(1, n), %(site)s, 'Gateway ' || n, false, now(), '', '', true, '', '{}', now(), 1
FROM generate_series(1, %(gateways)s) n;
INSERT INTO devices_device (id, site_id, gateway_id, placement, all_buildings, type, name, internet, settings, online,
  created_at, row_version)
SELECT id(2, n), %(site)s, id(1, 1 + n %% %(gateways)s), 'public', true, 'access_terminal', 'Door ' || n, true, '{}', true,
  now(), 1 FROM generate_series(1, %(doors)s) n;
INSERT INTO devices_hardware (id, mac, site_id, model, note, registered_at)
SELECT id(3, n), '0C1105' || upper(lpad(to_hex(n), 6, '0')), NULL, 'A08', '', now() FROM generate_series(1, %(doors)s) n;
INSERT INTO devices_binding (id, site_id, device_id, hardware_id, during)
SELECT id(4, n), %(site)s, id(2, n), id(3, n), tstzrange(now(), NULL) FROM generate_series(1, %(doors)s) n;
INSERT INTO devices_relay (id, site_id, device_id, kind, position, name, enabled, dtmf, methods, hold_ms, row_version)
SELECT id(5, n), %(site)s, id(2, n), 'door', 1, 'Relay1', true, '#', '{pin,card,face}', 5000, 1
FROM generate_series(1, %(doors)s) n;
INSERT INTO access_accessgroup (id, site_id, number, name, source, row_version)
SELECT id(6, n), %(site)s, n, 'Group ' || n, 'manual', 1 FROM generate_series(1, %(groups)s) n;
INSERT INTO access_window (id, site_id, access_group_id, kind, days, start_min, length_min, from_local, until_local)
SELECT id(7, n), %(site)s, id(6, 1 + n %% %(groups)s), CASE WHEN n %% 3 = 0 THEN 'weekly' ELSE 'daily' END, 31,
  (n * 37) %% 1000, 480, CASE WHEN n %% 50 = 0 THEN timestamp '2026-01-01' END, NULL
FROM generate_series(1, %(groups)s * 3 / 2) n;
INSERT INTO access_accessgrouprelay (id, site_id, access_group_id, relay_id)
SELECT DISTINCT ON (g, r) id(8, g * 100 + k), %(site)s, id(6, g), id(5, r)
FROM generate_series(1, %(groups)s) g, generate_series(1, 6) k, LATERAL (SELECT 1 + (g * 7 + k * k * 131) %% %(doors)s) door(r);
INSERT INTO tenants_party (id, site_id, kind) SELECT id(9, n), %(site)s, 'company' FROM generate_series(1, %(companies)s) n;
INSERT INTO premises_company (party_id, site_id, name, row_version)
SELECT id(9, n), %(site)s, 'Company ' || n, 1 FROM generate_series(1, %(companies)s) n;
INSERT INTO access_companyrelay (id, site_id, company_id, relay_id)
SELECT DISTINCT ON (c, r) id(10, c * 1000 + k), %(site)s, id(9, c), id(5, r)
FROM generate_series(1, %(companies)s) c, generate_series(1, 200) k, LATERAL (SELECT 1 + (c * 61 + k * 17) %% %(doors)s) door(r);
INSERT INTO premises_peoplegroup (id, site_id, company_id, name, directory_mode, immune, row_version)
SELECT id(11, n), %(site)s, id(9, 1 + n %% %(companies)s), 'People ' || n, 'people', n %% 40 = 0, 1
FROM generate_series(1, %(people_groups)s) n;
INSERT INTO access_accessgrouppeoplegroup (id, site_id, access_group_id, people_group_id)
SELECT DISTINCT ON (p, g) id(12, p * 10 + k), %(site)s, id(6, g), id(11, p)
FROM generate_series(1, %(people_groups)s) p, generate_series(1, 3) k, LATERAL (SELECT 1 + (p * 3 + k * 977) %% %(groups)s) given(g);
INSERT INTO people_holder (id, site_id, kind, party_id, label, valid_from_local, valid_until_local, created_at, row_version)
SELECT id(13, n), %(site)s, 'person', id(9, 1 + (1 + n %% %(people_groups)s) %% %(companies)s), 'Person ' || n, NULL,
  CASE WHEN n %% 20 = 0 THEN timestamp '2027-01-01' + n * interval '1 minute' END, now(), 1
FROM generate_series(1, %(people)s) n;
INSERT INTO people_person (holder_id, site_id, role, company_id, people_group_id, first_name, last_name, staff_no, email, mobile,
  language, intercom, in_directory, guest_keys)
SELECT id(13, n), %(site)s, 'personnel', id(9, 1 + (1 + n %% %(people_groups)s) %% %(companies)s),
  id(11, 1 + n %% %(people_groups)s), 'Person', n::text, n::text, '', '', '', false, false, false
FROM generate_series(1, %(people)s) n;
INSERT INTO people_credential (id, site_id, holder_id, kind, scope, digest, notation, state, source, made_at)
SELECT id(14, n), %(site)s, id(13, n), 'pin', %(site)s, md5('pin' || n), '', 'live', 'portal', now()
FROM generate_series(1, %(people)s) n;
INSERT INTO people_credential (id, site_id, holder_id, kind, scope, digest, notation, state, source, made_at)
SELECT id(15, n), %(site)s, id(13, n), 'card', %(site)s, md5('card' || n), 'hex', 'live', 'portal', now()
FROM generate_series(3, %(people)s, 3) n;
INSERT INTO access_accessgroupholder (id, site_id, access_group_id, holder_id)
SELECT id(16, n), %(site)s, id(6, 1 + (n * 13) %% %(groups)s), id(13, n) FROM generate_series(20, %(people)s, 20) n;
"""


def fill(superuser: str, **sizes: int) -> UUID:
    """The site, written by the server itself past services and checks of links: they are not what is measured."""
    site = UUID(int=1)
    with psycopg.connect(superuser, dbname="bench") as connection:
        connection.execute(
            "CREATE FUNCTION pg_temp.id(kind int, n int) RETURNS uuid LANGUAGE sql IMMUTABLE AS "
            "$$ SELECT (lpad(to_hex(kind), 8, '0') || lpad(to_hex(n), 24, '0'))::uuid $$"
        )
        connection.execute("SET search_path = pg_temp, public; SET session_replication_role = replica")
        run(connection, ROOT_ROWS.replace("id(", "pg_temp.id("), site=site)
        run(connection, SITE_ROWS.replace(" id(", " pg_temp.id("), site=site, **sizes)
    with psycopg.connect(superuser, dbname="bench", autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
    return site


# --- The peer -------------------------------------------------------------------------------------

PEER = """
CREATE TABLE entry AS
SELECT 'site' AS kind, id AS key, to_json({kind: 'site', zone: zone, language: language, pin_mode: pin_mode,
         lookup_key: $fingerprint})::VARCHAR AS payload, [id] AS audience FROM site
UNION ALL
SELECT 'device', d.id, to_json({kind: 'device', id: d.id, type: d.type, name: d.name, mac: m.mac,
         relays: coalesce(r.list, []), settings: MAP {}::MAP(VARCHAR, VARCHAR)})::VARCHAR, [d.id]
FROM device d LEFT JOIN mac m ON m.device_id = d.id
LEFT JOIN (SELECT device_id, list({id: id, kind: kind, position: position, name: name, enabled: enabled,
                                   methods: list_sort(string_split(methods, '|')), hold_ms: hold_ms}
                                  ORDER BY kind, position) AS list FROM relay GROUP BY device_id) r ON r.device_id = d.id
UNION ALL
SELECT 'access_group', a.id, to_json({kind: 'access_group', id: a.id, windows: coalesce(w.list, []),
         relays: coalesce(r.list, [])})::VARCHAR, [a.id]
FROM access_group a
LEFT JOIN (SELECT access_group_id, list({kind: kind, "start": start_min, length: length_min, days: days,
                    "from": strftime(from_local, '%Y-%m-%dT%H:%M:%S'), until: strftime(until_local, '%Y-%m-%dT%H:%M:%S')}
                    ORDER BY kind, start_min, length_min, days, from_local, until_local) AS list
           FROM access_window GROUP BY access_group_id) w ON w.access_group_id = a.id
LEFT JOIN (SELECT access_group_id, list(relay_id ORDER BY relay_id) AS list FROM group_relay GROUP BY access_group_id) r
  ON r.access_group_id = a.id
UNION ALL
SELECT 'people_group', p.id, to_json({kind: 'people_group', id: p.id, access_groups: coalesce(g.list, []),
         immune: p.immune})::VARCHAR, [p.id]
FROM people_group p LEFT JOIN (SELECT people_group_id, list(access_group_id ORDER BY access_group_id) AS list
                               FROM group_people GROUP BY people_group_id) g ON g.people_group_id = p.id
UNION ALL
SELECT 'party', c.party_id, to_json({kind: 'party', id: c.party_id, relays: coalesce(r.list, [])})::VARCHAR, [c.party_id]
FROM company c LEFT JOIN (SELECT company_id, list(relay_id ORDER BY relay_id) AS list FROM company_relay GROUP BY company_id) r
  ON r.company_id = c.party_id
UNION ALL
SELECT 'holder', h.id, to_json({kind: 'holder', id: h.id, party: o.party_id, people_group: p.people_group_id,
         access_groups: coalesce(g.list, []), valid_from: strftime(h.valid_from_local, '%Y-%m-%dT%H:%M:%S'),
         valid_until: strftime(h.valid_until_local, '%Y-%m-%dT%H:%M:%S'), credentials: coalesce(c.list, [])})::VARCHAR,
       list_concat(coalesce(g.list, []), CASE WHEN p.people_group_id IS NULL THEN [] ELSE [p.people_group_id] END)
FROM holder h LEFT JOIN person p ON p.holder_id = h.id LEFT JOIN company o ON o.party_id = h.party_id
LEFT JOIN (SELECT holder_id, list(access_group_id ORDER BY access_group_id) AS list FROM group_holder GROUP BY holder_id) g
  ON g.holder_id = h.id
LEFT JOIN (SELECT holder_id, list({id: id, kind: kind, lookup: digest} ORDER BY id) AS list FROM credential
           GROUP BY holder_id) c ON c.holder_id = h.id;
CREATE TABLE interest AS
WITH at_group AS (SELECT DISTINCT d.gateway_id, l.access_group_id AS key FROM group_relay l JOIN relay r ON r.id = l.relay_id
                  JOIN device d ON d.id = r.device_id),
     at_people AS (SELECT DISTINCT g.gateway_id, l.people_group_id AS key FROM group_people l
                   JOIN at_group g ON g.key = l.access_group_id)
SELECT g.id AS gateway_id, s.id AS key FROM gateway g, site s
UNION ALL SELECT gateway_id, id FROM device
UNION ALL SELECT * FROM at_group
UNION ALL SELECT * FROM at_people
UNION ALL (SELECT DISTINCT d.gateway_id, l.company_id FROM company_relay l JOIN relay r ON r.id = l.relay_id
           JOIN device d ON d.id = r.device_id);
"""


def peer_of(superuser: str, folder: Path) -> duckdb.DuckDBPyConnection:
    """DuckDB with the same rows, in a file, as durable as it makes its files."""
    made = duckdb.connect(str(folder / "peer.duckdb"))
    made.execute(f"SET threads = {os.cpu_count() or 1}")
    with psycopg.connect(superuser, dbname="bench") as connection:
        for name, select in TABLES.items():
            path = folder / f"{name}.csv"
            with path.open("wb") as file, connection.cursor().copy(f"COPY ({select}) TO STDOUT (FORMAT csv)") as copy:
                for block in copy:
                    file.write(block)
            made.execute(f"CREATE TABLE {name} ({LAYOUT[name]})")
            made.execute(f"COPY {name} FROM '{path}' (FORMAT csv, HEADER false)")
            path.unlink()
    made.execute("CHECKPOINT")
    return made


def peer_full(peer: duckdb.DuckDBPyConnection, fingerprint: str) -> float:
    """One making of everything; seconds until it is in the file."""
    peer.execute("DROP TABLE IF EXISTS entry")
    peer.execute("DROP TABLE IF EXISTS interest")
    peer.execute("CHECKPOINT")
    begun = time.perf_counter()
    entry, interest = PEER.split(";\n", 1)
    peer.execute("BEGIN")
    peer.execute(entry, {"fingerprint": fingerprint})
    peer.execute(interest)
    peer.execute("COMMIT")
    return time.perf_counter() - begun


# --- Ours -----------------------------------------------------------------------------------------


def empty_feed(superuser: str) -> None:
    with psycopg.connect(superuser, dbname="bench", autocommit=True) as connection:
        connection.execute("TRUNCATE feed_entry, feed_interest, feed_revision, feed_sitefeed, feed_wanted")
        connection.execute("CHECKPOINT")


def timed(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def same(superuser: str, peer: duckdb.DuckDBPyConnection) -> int:
    """Raises unless both made the same entries and interest; how many they are."""
    with psycopg.connect(superuser, dbname="bench") as connection:
        ours = {
            (kind, key): (payload, audience)
            for kind, key, payload, audience in connection.execute(
                "SELECT kind, key, payload, audience FROM feed_entry WHERE ended IS NULL"
            )
        }
        interest = set(connection.execute("SELECT gateway_id, key FROM feed_interest WHERE ended IS NULL").fetchall())
    theirs = {
        (kind, key): (json.loads(payload), audience)
        for kind, key, payload, audience in peer.execute("SELECT kind, key, payload, audience FROM entry").fetchall()
    }
    if ours != theirs:
        wrong = [key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)]
        raise SystemExit(f"not the same: {len(wrong)} entries, such as {ours.get(wrong[0])} / {theirs.get(wrong[0])}")
    if interest != set(peer.execute("SELECT gateway_id, key FROM interest").fetchall()):
        raise SystemExit("not the same interest")
    return len(ours) + len(interest)


def change_pin(connection: psycopg.Connection[Any], site: UUID, number: int) -> None:
    """What the act `set_pin` writes: the old one withdrawn, a new one, word for the feed."""
    holder = UUID(int=13 << 96 | number)
    connection.execute(
        "UPDATE people_credential SET state = 'quarantined', withdrawn_at = now() "
        "WHERE site_id = %s AND holder_id = %s AND kind = 'pin' AND state = 'live'",
        [site, holder],
    )
    connection.execute(
        "INSERT INTO people_credential (id, site_id, holder_id, kind, scope, digest, notation, state, source, made_at) "
        "VALUES (gatehouse_uuid7(), %s, %s, 'pin', %s, md5('another' || %s), '', 'live', 'portal', now())",
        [site, holder, site, number],
    )
    connection.execute(
        "INSERT INTO changes_touched (site_id, kind, key, at) VALUES (%s, 'holder', %s, now())", [site, holder]
    )


def main() -> int:
    """Measure; print what was found, last of all as JSON."""
    with durable_server() as (superuser, folder):
        migrated(superuser, folder)
        begun = time.perf_counter()
        site = fill(
            superuser,
            gateways=GATEWAYS,
            doors=DOORS,
            groups=GROUPS,
            companies=COMPANIES,
            people_groups=PEOPLE_GROUPS,
            people=PEOPLE,
        )
        peer = peer_of(superuser, folder)
        from gatehouse.cloud.feed.services import compile_site
        from gatehouse.cloud.feed.services.compiling import fingerprint

        print(
            f"{PEOPLE:,} people, {DOORS:,} doors, {GROUPS:,} access groups made in {time.perf_counter() - begun:.0f} s"
        )

        def ours_full() -> float:
            empty_feed(superuser)
            return timed(lambda: compile_site(site, NOW, everything=True))

        ours, theirs = [ours_full()], [peer_full(peer, fingerprint(site))]
        print(f"{same(superuser, peer):,} entries and interests made by both, the same")
        for turn in TURNS:
            if turn == "A":
                ours.append(ours_full())
            else:
                theirs.append(peer_full(peer, fingerprint(site)))
        ours, theirs = ours[1:], theirs[1:]
        ratios = sorted(a / b for a, b in zip(ours, theirs, strict=True))
        full, by_peer = statistics.median(ours), statistics.median(theirs)
        print(f"everything: ours {full:.2f} s, DuckDB {by_peer:.2f} s, ratios {ratios[0]:.2f} to {ratios[-1]:.2f}")

        singles = []
        with psycopg.connect(superuser, dbname="bench", autocommit=True) as connection:
            for number in range(1, CHANGES + 1):
                with connection.transaction():
                    change_pin(connection, site, number * 37)
                singles.append(timed(lambda: compile_site(site, NOW)))
        change = statistics.median(singles)
        again = compile_site(site, NOW, everything=True)
        if again.changed or again.concerned:
            raise SystemExit(f"after the single acts {again.changed} entries are not what they should be")
        share = change / full
        print(
            f"one change: {change * 1000:.2f} ms (p90 {sorted(singles)[int(CHANGES * 0.9)] * 1000:.2f}), "
            f"1/{1 / share:.0f} of everything; the feed is then what a compile of everything makes"
        )
    ratio = statistics.median(ratios)
    print(
        json.dumps(
            {
                "bench": "compile",
                "ours": round(full, 3),
                "peer": round(by_peer, 3),
                "peer_name": "DuckDB making the same entries and interest into a file",
                "ratio": round(ratio, 2),
                "spread": [round(ratios[0], 2), round(ratios[-1], 2)],
                "one_change_ms": round(change * 1000, 2),
                "one_change_share": round(share, 6),
                "target": TARGET_FULL,
                "target_one_change_share": TARGET_CHANGE,
                "unit": "s",
                "better": "lower",
                "held": ratio <= TARGET_FULL and share <= TARGET_CHANGE,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
