"""Calls that type checkers must refuse: each comment says which error, and would be too much else.

None of it is run.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django_valify_otp.models import OtpSend, OtpVerification
    from django_valify_otp.services import (
        asend_otp,
        averify_otp,
        enqueue_otp,
        get_send,
        redeem_verification_token,
        send_otp,
        verify_otp,
    )

    otp_send = send_otp("01012345678")
    send_otp()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    send_otp(1012345678)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    send_otp("01012345678", "ar")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    send_otp("01012345678", number="1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    send_otp("01012345678", user="mona")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    send_otp("01012345678", purpose=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    enqueue_otp("01012345678", lang=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    verify_otp("T1", "123456")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    verify_otp(otp_send, 123456)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    verify_otp(otp_send)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    get_send(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    redeem_verification_token("token", "signup")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    otp_send.phone = "1"  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    number: int = redeem_verification_token("token")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    row: OtpVerification = otp_send  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    waiting: OtpSend = asend_otp("01012345678")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

    async def refused() -> None:
        """Call what async code must not."""
        await send_otp("01012345678")  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
        await asend_otp(1012345678)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        await averify_otp(otp_send, otp=6, user=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
