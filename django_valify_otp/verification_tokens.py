"""What a verification is to the rest of the site: a signed text, bound to one purpose."""

from uuid import UUID

from django.core.signing import BadSignature, Signer

from django_valify_otp.exceptions import InvalidVerificationToken


def sign(verification: UUID, *, purpose: str) -> str:
    """The token of a verification, good for this purpose alone. It does not hold the number."""
    return _signer(purpose).sign(verification.hex)


def unsign(token: object, *, purpose: str) -> UUID:
    """The verification of a token. Raises ``InvalidVerificationToken``."""
    try:
        return UUID(_signer(purpose).unsign(str(token)))
    except (BadSignature, ValueError):  # some text cannot even be signed
        raise InvalidVerificationToken from None


def _signer(purpose: str) -> Signer:
    return Signer(salt=f"django_valify_otp.verification:{purpose}")
