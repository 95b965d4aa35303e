"""Set the direction of texts that do not follow that of the page."""

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language_bidi

# Unicode's LEFT-TO-RIGHT ISOLATE and POP DIRECTIONAL ISOLATE, which nobody sees.
START, END = "\u2066", "\u2069"


def left_to_right(text: object) -> SafeString | str:
    """Return an ID, an address or an error code, so that it reads left to right on any page.

    On a right-to-left page, an ID that begins with digits would be drawn with its parts in
    another order.
    """
    return format_html('<bdi dir="ltr">{}</bdi>', text) if text else ""


def own_direction(text: str) -> SafeString | str:
    """Return a text of Valify's or of a person's, in the direction of its own first letters."""
    return format_html('<bdi dir="auto">{}</bdi>', text) if text else ""


def isolated(text: str) -> str:
    """Return the same as ``left_to_right()`` for a text that is no HTML, on such a page alone."""
    return f"{START}{text}{END}" if text and get_language_bidi() else text
