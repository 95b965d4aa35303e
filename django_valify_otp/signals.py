"""What other apps can listen to. A receiver that raises is logged and harms nothing."""

from django.dispatch import Signal

# sender=OtpSend, otp_send: once for each row, by whoever settles it.
otp_send_settled = Signal()
# sender=OtpVerification, otp_send, verification: when Valify has verified a send.
otp_verified = Signal()
