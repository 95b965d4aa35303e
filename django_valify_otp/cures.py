"""Say in a sentence for developers why Valify could not be called, and what to do about it.

The sentences have the host of ``BASE_URL``, and nothing that is secret.
"""

import re
from urllib.parse import urlsplit

from django_valify_otp.setting_values import is_loopback

REFUSED_CREDENTIALS = {
    "invalid_grant": "VALIFY_OTP['USERNAME'] or VALIFY_OTP['PASSWORD']",
    "invalid_client": "VALIFY_OTP['CLIENT_ID'] or VALIFY_OTP['CLIENT_SECRET']",
}
OF_ACCOUNT = "Correct VALIFY_OTP, or ask Valify what is wrong with the account."
# By Valify's HTTP status for a send or a try.
STATUSES = {
    "400": "Valify found the request incomplete: correct VALIFY_OTP['BUNDLE_KEY'].",
    "401": "Valify does not accept VALIFY_OTP['BUNDLE_KEY'].",
    "403": "Valify does not accept its own access token. Does VALIFY_OTP['BUNDLE_KEY'] belong to"
    " the account of VALIFY_OTP['CLIENT_ID']?",
}
WITHOUT_TIME = (
    "{origin} did not answer in time. Correct VALIFY_OTP['BASE_URL'], let this machine through the"
    " firewall, or allow more time in VALIFY_OTP['CONNECT_TIMEOUT'] and VALIFY_OTP['DEADLINE']."
)
# By the class of the first cause.
NO_CONNECTION = {
    "gaierror": "The host {origin} is not known. Correct VALIFY_OTP['BASE_URL'], or the DNS of this"
    " machine.",
    "SSLCertVerificationError": "The certificate of {origin} is not trusted. Correct"
    " VALIFY_OTP['BASE_URL']; if a proxy has a certificate authority of its own, name it in the"
    " environment variable REQUESTS_CA_BUNDLE.",
    "SSLError": "{origin} does not speak TLS. Correct VALIFY_OTP['BASE_URL']: its port, or http"
    " for a sandbox.",
    "TimeoutError": WITHOUT_TIME,
    "ConnectTimeoutError": WITHOUT_TIME,
}


def cure_of(reason: str, message: str, *, base_url: str) -> str | None:
    """Return what to do about a row's ``reason`` and Valify's message, ``None`` if nobody knows."""
    is_of_token, what = reason.startswith("token call: "), reason.removeprefix("token call: ")
    origin = urlsplit(base_url).netloc
    if what == "ConnectionRefusedError":
        return _nothing_listens(base_url)
    if sentence := NO_CONNECTION.get(what):
        return sentence.format(origin=origin)
    if what.startswith("the proxy"):
        return (
            f"The proxy between this machine and {origin} refused. Correct the environment variable"
            " HTTPS_PROXY, or name the host in NO_PROXY."
        )
    status = re.fullmatch("HTTP ([0-9]{3})", what)
    if status is None:
        return None
    return _of_status(status[1], message, origin=origin, is_of_token=is_of_token)


def _nothing_listens(base_url: str) -> str:
    parts = urlsplit(base_url)
    if is_loopback(parts.hostname or "") or parts.scheme == "http":
        return f"Nothing listens at {parts.netloc}: is `manage.py valify_sandbox` running there?"
    return f"Nothing listens at {parts.netloc}. Correct VALIFY_OTP['BASE_URL'], or the firewall."


def _of_status(status: str, message: str, *, origin: str, is_of_token: bool) -> str | None:
    if status in {"404", "405", "415"} or status.startswith("3"):
        return f"{origin} is not Valify, or not the host alone: correct VALIFY_OTP['BASE_URL']."
    if not is_of_token:
        return STATUSES.get(status)
    if status.startswith("4") and status != "429":
        for error, keys in REFUSED_CREDENTIALS.items():
            if message.startswith(error):
                return f"Valify does not accept {keys} ({error})."
        return f"Valify gives no access token. {OF_ACCOUNT}"
    return None
