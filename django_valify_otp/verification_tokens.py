"""Sign and read verification tokens: signed texts, each bound to one purpose."""

from uuid import UUID

from django.core.signing import BadSignature, Signer


def sign(verification: UUID, *, purpose: str) -> str:
    """Return the token of a verification for this purpose. It does not contain the number."""
    return _signer(purpose).sign(verification.hex)


def unsign(token: object, *, purpose: str) -> UUID | None:
    """Return the verification of a token, or ``None`` if we did not sign it for this purpose."""
    try:
        return UUID(_signer(purpose).unsign(str(token)))
    except (BadSignature, ValueError):  # some texts cannot even be signed
        return None


def _signer(purpose: str) -> Signer:
    return Signer(salt=f"django_valify_otp.verification:{purpose}")
