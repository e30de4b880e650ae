"""A private server with a migrated database and claimed gateways, for tests that kill PostgreSQL under the link.

`python -m tests.link.private <gateways>` fills the database named by DATABASE_URL and prints what was made, as
JSON: it is another process, since the tests' own Django speaks with the shared server.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def prepare(database_url: str, gateways: int) -> list[dict[str, str]]:
    """Migrate and fill; gives `gateway`, `site` and `secret` of each gateway."""
    for arguments, role in (
        (["-m", "django", "migrate", "--verbosity=0"], "owner"),
        (["-m", __name__, str(gateways)], "app"),
    ):
        done = subprocess.run(
            [sys.executable, *arguments],
            env={
                **os.environ,
                "DATABASE_URL": database_url,
                "GATEHOUSE_DB_ROLE": role,
                "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    made: list[dict[str, str]] = json.loads(done.stdout.splitlines()[-1])
    return made


def _fill(number: int) -> list[dict[str, Any]]:
    from django.db import transaction

    from gatehouse.cloud.authz.actor import enter, system_actor
    from gatehouse.cloud.devices.services import add_gateway, claim_gateway, issue_claim_code
    from gatehouse.cloud.kit import clock
    from tests.cast import make_cast

    made = []
    with transaction.atomic():
        cast = make_cast()
        actor, now = system_actor(cast.here.site.id), clock.now()
        enter(actor)
        for each in range(number):
            gateway = add_gateway(actor=actor, site=cast.here.site, name=f"Gateway {each}", now=now)
            code = issue_claim_code(actor=actor, gateway=gateway, now=now)
            claimed = claim_gateway(actor=actor, gateway=gateway, code=code, version="0.1.0", now=now)
            made.append({"gateway": str(gateway.id), "site": str(gateway.site_id), "secret": claimed.secret})
    return made


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gatehouse.cloud.config.settings")
    import django

    django.setup()
    sys.stdout.write(json.dumps(_fill(int(sys.argv[1]))) + "\n")
    from django.db import connections

    connections.close_all()
