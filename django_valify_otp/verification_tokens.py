"""What a verification is to the rest of the site: a signed text, bound to one purpose."""

from uuid import UUID

from django.core.signing import BadSignature, Signer


def sign(verification: UUID, *, purpose: str) -> str:
    """The token of a verification, good for this purpose alone. It does not hold the number."""
    return _signer(purpose).sign(verification.hex)


def unsign(token: object, *, purpose: str) -> UUID | None:
    """The verification of a token; ``None`` if it was not signed here for this purpose."""
    try:
        return UUID(_signer(purpose).unsign(str(token)))
    except (BadSignature, ValueError):  # some text cannot even be signed
        return None


def _signer(purpose: str) -> Signer:
    return Signer(salt=f"django_valify_otp.verification:{purpose}")
