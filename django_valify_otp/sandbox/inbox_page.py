"""The inbox as a page like a phone's screen."""

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from http import HTTPStatus

from django_valify_otp.sandbox.answers import Answer
from django_valify_otp.sandbox.inbox import Message

# The page is fetched every second, also in the middle of a load test.
MESSAGES_SHOWN = 100

DIRECTIONS = {"en": "ltr", "ar": "rtl"}

STYLE = """
:root {
  color-scheme: light dark;
  --screen: #eef0f3; --bubble: #fff; --ink: #16181d; --faint: #5a6270; --code: #0b57d0;
}
@media (prefers-color-scheme: dark) {
  :root { --screen: #101216; --bubble: #22262d; --ink: #eceef2; --faint: #a5adba; --code: #9cc2ff; }
}
body {
  max-width: 28rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere;
  background: var(--screen); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif;
}
h1 { margin: 0; font-size: 1.25rem; }
#summary { margin: 0 0 1rem; color: var(--faint); }
#messages { margin: 0; padding: 0; list-style: none; }
li { margin: 0 0 .75rem; padding: .75rem 1rem; border-radius: 1rem; background: var(--bubble); }
li p { margin: 0; }
.envelope {
  display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1rem;
  color: var(--faint); font-size: .875rem;
}
.code {
  color: var(--code); font: 600 1.5rem/1.5 ui-monospace, monospace; letter-spacing: .08em;
  -webkit-user-select: all; user-select: all;
}
"""

# Only what has changed is replaced, so that a selection lasts.
SCRIPT = """
const refresh = async () => {
  try {
    const response = await fetch(location.href);
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const id of ["summary", "messages"]) {
      const [now, then] = [fresh, document].map((page) => page.getElementById(id));
      if (now.innerHTML !== then.innerHTML) then.replaceChildren(...now.childNodes);
    }
  } catch {
    // The sandbox is away, perhaps for a restart: what it said last stays.
  }
  setTimeout(refresh, 1000);
};
setTimeout(refresh, 1000);
"""


def page_answer(messages: Sequence[Message]) -> Answer:
    """The messages for people."""
    return Answer(
        HTTPStatus.OK,
        _page(messages).encode(),
        content_type="text/html; charset=utf-8",
        headers=(
            ("Cache-Control", "no-store"),
            ("Content-Security-Policy", _content_security_policy()),
        ),
    )


def _content_security_policy() -> str:
    # No frame-ancestors: a local site may show the inbox beside its own page.
    return (
        f"default-src 'none'; style-src {_source(STYLE)}; script-src {_source(SCRIPT)}; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'"
    )


def _source(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _page(messages: Sequence[Message]) -> str:
    items = "\n".join(_item(message) for message in messages[:MESSAGES_SHOWN])
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Inbox of the Valify sandbox</title>
<style>{STYLE}</style>
<noscript><meta http-equiv="refresh" content="5"></noscript>
</head>
<body>
<main>
<h1>Messages</h1>
<p id="summary" role="status">{_summary(len(messages))}</p>
<ul id="messages" role="list">
{items}
</ul>
</main>
<script>{SCRIPT}</script>
</body>
</html>
"""


def _summary(count: int) -> str:
    if not count:
        return "None yet. Send an OTP, and its code appears here."
    if count > MESSAGES_SHOWN:
        return f"The newest {MESSAGES_SHOWN} of {count}"
    return f"{count}, newest first"


def _item(message: Message) -> str:
    code = escape(message.code)
    text = escape(message.text).replace(code, f'<strong class="code">{code}</strong>')
    sent_at = message.sent_at.astimezone()
    return (
        f'<li lang="{escape(message.lang)}" dir="{DIRECTIONS[message.lang]}">'
        f'<p class="envelope"><bdi dir="ltr">{escape(message.recipient)}</bdi> '
        f'<time dir="ltr" datetime="{sent_at.isoformat()}">{sent_at:%Y-%m-%d %H:%M:%S}</time></p>'
        f"<p>{text}</p></li>"
    )
