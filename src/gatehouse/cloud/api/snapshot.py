"""`python -m gatehouse.cloud.api.snapshot <file>`: writes the OpenAPI document that a test compares with the code."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main() -> None:
    """Write the document to the file that is named."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gatehouse.cloud.config.settings")
    import django

    django.setup()
    from gatehouse.cloud.api.application import api
    from gatehouse.cloud.api.document import built

    Path(sys.argv[1]).write_text(json.dumps(built(api), ensure_ascii=False, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
