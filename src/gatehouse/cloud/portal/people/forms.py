"""Forms about people."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _


class PinForm(forms.Form):
    """A new PIN. What a PIN may be is the service's to say."""

    pin = forms.CharField(
        label=_("New PIN"),
        max_length=32,
        strip=True,
        widget=forms.TextInput(
            attrs={
                "class": "form-control",
                "inputmode": "numeric",
                "autocomplete": "off",
                "dir": "ltr",
                "maxlength": "8",
            }
        ),
        error_messages={"required": _("Type the new PIN.")},
    )
