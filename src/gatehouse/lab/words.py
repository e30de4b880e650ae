"""Words of the lab: what the device says in the language of its site, and the tray beside it in English.

Codes come from the hardware and from decisions; nothing else of the lab holds prose for the device.
"""

from __future__ import annotations

from typing import Final

from gatehouse.rules import reasons

RIGHT_TO_LEFT: Final = frozenset({"ar", "fa", "he", "ur"})

DEVICE: Final[dict[str, dict[str, str]]] = {
    "en": {
        "ask": "Type your code\nor hold your card",
        "typing": "Then press #",
        "typing_unit": "Now your code, then #",
        "typed": "{count} keys",
        "asking": "One moment",
        "granted": "Come in",
        "granted_sub": "Open: {door}",
        "refused": "No entry",
        "refused_sub": "Try again, or ask the management",
        "waiting": "Please wait",
        "waiting_sub": "Too many wrong codes",
        "failed": "Something is wrong",
        "failed_sub": "Please try again",
        "emergency": "Emergency",
        "fire": "Fire alarm",
        "leave": "Leave\nnow",
        "leave_sub": "The doors are open.\nTake the stairs.",
        "way_out": "Way out",
        "reader": "Hold your card here",
        "reader_open": "Doors are open: no card needed",
        "offline": "No connection",
        "offline_sub": "Codes and cards work all the same",
        "booting": "Starting",
        "setup": "Not set up yet",
        "star": "Clear",
        "hash": "Confirm",
        "keypad": "Keypad",
        "device": "Door phone",
    },
    "de": {
        "ask": "Code eingeben\noder Karte vorhalten",
        "typing": "Danach # drücken",
        "typing_unit": "Jetzt der Code, dann #",
        "typed": "{count} Tasten",
        "asking": "Einen Moment",
        "granted": "Bitte eintreten",
        "granted_sub": "Offen: {door}",
        "refused": "Kein Zutritt",
        "refused_sub": "Noch einmal versuchen oder die Verwaltung fragen",
        "waiting": "Bitte warten",
        "waiting_sub": "Zu viele falsche Codes",
        "failed": "Da stimmt etwas nicht",
        "failed_sub": "Bitte noch einmal versuchen",
        "emergency": "Notfall",
        "fire": "Feueralarm",
        "leave": "Gebäude\nverlassen",
        "leave_sub": "Die Türen sind offen.\nTreppe benutzen.",
        "way_out": "Ausgang",
        "reader": "Karte hier vorhalten",
        "reader_open": "Türen offen: keine Karte nötig",
        "offline": "Keine Verbindung",
        "offline_sub": "Codes und Karten gelten weiter",
        "booting": "Startet",
        "setup": "Noch nicht eingerichtet",
        "star": "Löschen",
        "hash": "Bestätigen",
        "keypad": "Tastenfeld",
        "device": "Türstation",
    },
    "fa": {
        "ask": "کد خود را وارد کنید\nیا کارت را نزدیک بیاورید",
        "typing": "سپس # را بزنید",
        "typing_unit": "حالا کد، سپس #",
        "typed": "{count} کلید",
        "asking": "یک لحظه",
        "granted": "بفرمایید",
        "granted_sub": "باز است: {door}",
        "refused": "ورود مجاز نیست",
        "refused_sub": "دوباره تلاش کنید یا از مدیریت بپرسید",
        "waiting": "لطفاً صبر کنید",
        "waiting_sub": "کد نادرست بیش از حد وارد شد",
        "failed": "مشکلی پیش آمد",
        "failed_sub": "لطفاً دوباره تلاش کنید",
        "emergency": "وضعیت اضطراری",
        "fire": "هشدار آتش",
        "leave": "فوراً\nخارج شوید",
        "leave_sub": "درها باز هستند.\nاز پله‌ها بروید.",
        "way_out": "راه خروج",
        "reader": "کارت را اینجا نگه دارید",
        "reader_open": "درها باز است: کارت لازم نیست",
        "offline": "بدون اتصال",
        "offline_sub": "کد و کارت همچنان کار می‌کند",
        "booting": "در حال روشن شدن",
        "setup": "هنوز راه‌اندازی نشده",
        "star": "پاک کردن",
        "hash": "تأیید",
        "keypad": "صفحه‌کلید",
        "device": "آیفون در",
    },
    "he": {
        "ask": "הקישו קוד\nאו הצמידו כרטיס",
        "typing": "ואז הקישו #",
        "typing_unit": "עכשיו הקוד, ואז #",
        "typed": "{count} מקשים",
        "asking": "רגע אחד",
        "granted": "היכנסו",
        "granted_sub": "פתוח: {door}",
        "refused": "אין כניסה",
        "refused_sub": "נסו שוב או פנו להנהלה",
        "waiting": "נא להמתין",
        "waiting_sub": "יותר מדי קודים שגויים",
        "failed": "משהו השתבש",
        "failed_sub": "נסו שוב בבקשה",
        "emergency": "מצב חירום",
        "fire": "אזעקת אש",
        "leave": "צאו\nעכשיו",
        "leave_sub": "הדלתות פתוחות.\nהשתמשו במדרגות.",
        "way_out": "יציאה",
        "reader": "הצמידו כרטיס כאן",
        "reader_open": "הדלתות פתוחות: אין צורך בכרטיס",
        "offline": "אין חיבור",
        "offline_sub": "קודים וכרטיסים פועלים כרגיל",
        "booting": "מופעל",
        "setup": "טרם הוגדר",
        "star": "מחיקה",
        "hash": "אישור",
        "keypad": "לוח מקשים",
        "device": "אינטרקום כניסה",
    },
}

REASONS: Final[dict[str, str]] = {
    reasons.GRANTED: "Granted",
    reasons.EMERGENCY_OPEN: "Open, emergency",
    reasons.SITE_UNKNOWN: "The device has no data yet",
    reasons.DEVICE_UNKNOWN: "The device is not known to its site",
    reasons.DEVICE_NO_RELAY: "The device has no relay",
    reasons.RELAY_UNKNOWN: "No such relay",
    reasons.CREDENTIAL_UNKNOWN: "Nobody has this",
    reasons.HOLDER_UNKNOWN: "Its holder is gone",
    reasons.PIN_FORMAT: "Not a code",
    reasons.PIN_LENGTH: "Too short or too long for a code",
    reasons.CARD_FORMAT: "Not a card number",
    reasons.CARD_RANGE: "No card has this number",
    reasons.METHOD_UNKNOWN: "Unknown way to open",
    reasons.METHOD_NOT_ALLOWED: "This door does not take it",
    reasons.RELAY_OFF: "This relay is switched off",
    reasons.VALIDITY_NOT_YET: "Not valid yet",
    reasons.VALIDITY_OVER: "No longer valid",
    reasons.REACH_COMPANY: "Not a door of this company",
    reasons.ACCESS_NO_GROUP: "No access group for this door",
    reasons.ACCESS_OUTSIDE_HOURS: "Outside its hours",
    reasons.CLOCK_UNKNOWN: "The device does not know the time",
    "keypad.throttled": "Too many wrong codes",
}
"""Reason codes of decisions, for the tray: the device itself never says why."""

METHODS: Final[dict[str, str]] = {
    "pin": "Code",
    "card": "Card",
    "face": "Face",
    "qr": "QR code",
    "bluetooth": "Bluetooth",
    "nfc": "NFC",
    "homepage": "Button on the screen",
    "talking": "During a call",
    "remote": "Opened from the portal",
    "exit": "Exit button",
    "emergency": "Emergency",
    "schedule": "Schedule",
}


def device_words(language: str) -> dict[str, str]:
    """What the device says; English where the site's language is not among ours."""
    return DEVICE.get(language.split("-")[0], DEVICE["en"])


def spoken(language: str) -> str:
    """The language in which `device_words` answers."""
    return language if language.split("-")[0] in DEVICE else "en"


def direction(language: str) -> str:
    """`rtl` or `ltr`, for the device's screen."""
    return "rtl" if spoken(language).split("-")[0] in RIGHT_TO_LEFT else "ltr"
