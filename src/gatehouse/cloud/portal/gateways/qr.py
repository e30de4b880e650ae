"""A QR code as one path of an SVG: no styles, no pictures, sharp at any size."""

from __future__ import annotations

import qrcode

MARGIN = 4
"""Empty modules around it, as the standard asks."""


def squares(text: str) -> tuple[str, int]:
    """The path's data and the side length in modules."""
    code = qrcode.QRCode(border=MARGIN, error_correction=qrcode.ERROR_CORRECT_M)
    code.add_data(text)
    matrix = code.get_matrix()
    path = "".join(f"M{x} {y}h1v1h-1z" for y, row in enumerate(matrix) for x, dark in enumerate(row) if dark)
    return path, len(matrix)
