"""The record: one row for each attempt and each try, whatever becomes of it.

An *attempt* is one wish to send an OTP to one phone number: an ``OtpSend`` row. A *try* is one OTP
that somebody typed: an ``OtpVerification`` row. A *call* is one HTTP request to Valify: an attempt
or a try makes none, one or, after a refused access token, two. A row is *settled* when its status
and its answer will not change any more. A *code* is this app's name for a way to end, an *error
code* is Valify's, and the six digits are the *OTP*.
"""

import hashlib
import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self, TypeVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models, router, transaction
from django.db.models import Case, F, Q, When
from django.utils import timezone
from django.utils.translation import pgettext_lazy

from django_valify_otp import exceptions, ip_addresses, statements, verification_tokens
from django_valify_otp.callers import Caller, User, identify
from django_valify_otp.phone_numbers import SHORTEST_PREFIX, mask, normalize, normalize_prefix

FIRST_HANDOVER_WAIT = timedelta(seconds=10)

AnyRecord = TypeVar("AnyRecord", bound="CallRecord")


def _patience(deadline: float) -> timedelta:
    # Past the deadline a call needs a moment to write its answer.
    return timedelta(seconds=deadline + 10)


class CallRecordQuerySet(models.QuerySet[AnyRecord]):
    """Rows that record calls."""

    def overdue(self, now: datetime, *, deadline: float) -> Self:
        """Return the rows whose call must be over: it began over ``deadline`` seconds ago."""
        return self.filter(status="pending", called_at__lt=now - _patience(deadline))

    def in_batches(self, size: int) -> Iterator[list[AnyRecord]]:
        """Return the rows, newest first, of which there are never more than ``size`` in memory.

        Each batch is a query of its own, which needs no connection or cursor to stay open.
        """
        rows = self.order_by("-created_at", "-pk")
        batch = [*rows[:size]]
        while batch:
            yield batch
            last = batch[-1]
            older = rows.filter(created_at__lt=last.created_at)
            # Of those of the same moment first, so that an index finds each.
            tied = rows.filter(created_at=last.created_at, pk__lt=last.pk)
            batch = [*tied[:size]] or [*older[:size]]


class CallRecord(models.Model):
    """Who wanted Valify to be called, and what came of it.

    A row is settled once: when its status and its answer will not change any more.
    """

    OPEN: ClassVar[Sequence[str]]
    objects: models.Manager[Any]

    # Annotated for type checkers without django-stubs' plugin, such as pyright. What refers to the
    # site's users is not: only the plugin knows their model.
    id: "models.BigAutoField[int, int]" = models.BigAutoField(primary_key=True)
    uuid: "models.UUIDField[uuid.UUID, uuid.UUID]" = models.UUIDField(
        pgettext_lazy("OTP", "ID"), default=uuid.uuid4, unique=True, editable=False
    )
    status: "models.CharField[str, str]" = models.CharField(
        pgettext_lazy("OTP", "status"), max_length=8
    )
    code: "models.CharField[str, str]" = models.CharField(
        pgettext_lazy("OTP", "code"), max_length=32, blank=True
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=pgettext_lazy("OTP", "user"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        # Checking it would wait for whoever has locked the user, and every send for that check.
        db_constraint=False,
        db_index=False,
    )
    caller: "models.CharField[str, str]" = models.CharField(
        pgettext_lazy("OTP", "caller"),
        max_length=255,
        help_text=pgettext_lazy("OTP", "Whose wish it was; stays when the user is deleted."),
    )
    ip_address: "models.GenericIPAddressField[str | None, str | None]" = (
        models.GenericIPAddressField(pgettext_lazy("OTP", "IP address"), null=True, blank=True)
    )
    token_fingerprint: "models.CharField[str, str]" = models.CharField(
        pgettext_lazy("OTP", "token fingerprint"),
        max_length=16,
        blank=True,
        help_text=pgettext_lazy("OTP", "The same for all calls that shared an access token."),
    )
    calls: "models.PositiveSmallIntegerField[int, int]" = models.PositiveSmallIntegerField(
        pgettext_lazy("OTP", "calls"),
        default=0,
        help_text=pgettext_lazy("OTP", "Requests that may have reached Valify."),
    )
    http_status: "models.PositiveSmallIntegerField[int | None, int | None]" = (
        models.PositiveSmallIntegerField(pgettext_lazy("OTP", "HTTP status"), null=True, blank=True)
    )
    error_code: "models.CharField[str, str]" = models.CharField(
        pgettext_lazy("OTP", "Valify's error code"), max_length=64, blank=True
    )
    valify_message: "models.CharField[str, str]" = models.CharField(
        pgettext_lazy("OTP", "Valify's message"), max_length=500, blank=True
    )
    reason: "models.CharField[str, str]" = models.CharField(
        pgettext_lazy("OTP", "technical reason"),
        max_length=100,
        blank=True,
        help_text=pgettext_lazy("OTP", "What this app saw when it settled the row."),
    )
    created_at: "models.DateTimeField[datetime, datetime]" = models.DateTimeField(
        pgettext_lazy("OTP", "created at")
    )
    called_at: "models.DateTimeField[datetime | None, datetime | None]" = models.DateTimeField(
        pgettext_lazy("OTP", "called at"), null=True, blank=True
    )
    settled_at: "models.DateTimeField[datetime | None, datetime | None]" = models.DateTimeField(
        pgettext_lazy("OTP", "settled at"), null=True, blank=True
    )

    class Meta:
        abstract = True

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"

    @property
    def duration(self) -> timedelta | None:
        """Return the time from the call to the record of its answer; ``None`` while open."""
        return self.settled_at - self.called_at if self.settled_at and self.called_at else None

    def is_overdue(self, now: datetime, *, deadline: float) -> bool:
        """Tell whether its call must be over: it may take ``deadline`` seconds."""
        return (
            self.status == "pending"
            and self.called_at is not None
            and self.called_at < now - _patience(deadline)
        )

    def settle(self, *, status: str, settled_at: datetime, **fields: Any) -> bool:
        """Record how it ended, unless somebody else did so first: then ``False``.

        Texts are cut to their columns. The row in memory has what the database has.
        """
        # A queued row may have been claimed by a worker, who will settle it.
        open_statuses = [status for status in self.OPEN if status == self.status] or self.OPEN
        fields = {name: self._cut(name, value) for name, value in fields.items()}
        fields |= {"status": status, "settled_at": settled_at}
        # Not the database that the row was read from: that may be a replica.
        using = router.db_for_write(type(self))
        if statements.update(self, fields, where=self.identified(open_statuses), using=using):
            for name, value in fields.items():
                setattr(self, name, value)
            return True
        # Without the relations: who has them at hand would lose them, and a replica may lack them.
        columns = [field.name for field in self._meta.concrete_fields if not field.is_relation]
        rows = type(self)._base_manager.using(using).filter(uuid=self.uuid)
        self.refresh_from_db(using=using, fields=columns, from_queryset=rows)
        return False

    def identified(self, statuses: Sequence[str]) -> statements.Where:
        """Return what tells this row, in one of these statuses, from any other.

        A primary that dies may take its last rows with it. The next one then gives their keys to
        other rows, but never their IDs.
        """
        return {"status": statuses, "uuid": [self.uuid]}

    def _cut(self, name: str, value: Any) -> Any:
        column: Any = self._meta.get_field(name)
        return value[: column.max_length] if isinstance(value, str) else value


class OtpSendQuerySet(CallRecordQuerySet["OtpSend"]):
    """Attempts."""

    def queued(self) -> Self:
        """Return the attempts that wait for a worker."""
        return self.filter(status=OtpSend.Status.QUEUED)

    def queue_expired(self, now: datetime, *, queue_lifetime: int) -> Self:
        """Return those that have waited for over ``queue_lifetime`` seconds."""
        return self.queued().filter(created_at__lt=now - timedelta(seconds=queue_lifetime))

    def having_in_common(self, what: str, sibling: "OtpSend") -> Self:
        """Return the attempts with a sibling's ``number``, ``caller`` or access ``token``."""
        match what:
            case "number":
                return self.filter(phone_number=sibling.phone_number)
            case "caller":
                return self.filter(caller=sibling.caller)
        # Tokens live for minutes, so an index of created_at serves for them too.
        hour = timedelta(hours=1)
        return self.filter(
            token_fingerprint=sibling.token_fingerprint,
            created_at__range=(sibling.created_at - hour, sibling.created_at + hour),
        )

    def of(self, user: User) -> Self:
        """Return the attempts that this user made while logged in."""
        caller = identify(user)
        return self.filter(caller=caller.name) if caller.is_logged_in else self.none()


class OtpSend(CallRecord):
    """One attempt to send an OTP to one phone number."""

    class Status(models.TextChoices):
        """How far an attempt got."""

        QUEUED = "queued", pgettext_lazy("OTP", "queued")
        PENDING = "pending", pgettext_lazy("OTP", "pending")
        SENT = "sent", pgettext_lazy("OTP", "sent")
        REJECTED = "rejected", pgettext_lazy("OTP", "rejected")
        FAILED = "failed", pgettext_lazy("OTP", "failed")
        UNKNOWN = "unknown", pgettext_lazy("OTP", "unknown")
        BLOCKED = "blocked", pgettext_lazy("OTP", "blocked")

    class Code(models.TextChoices):
        """Why an attempt was not sent."""

        SEND_LIMIT_REACHED = (
            exceptions.SendLimitReached.code,
            pgettext_lazy("OTP", "send limit reached"),
        )
        SEND_FORBIDDEN = exceptions.SendForbidden.code, pgettext_lazy("OTP", "send forbidden")
        SENDING_PAUSED = exceptions.SendingPaused.code, pgettext_lazy("OTP", "sending paused")
        REJECTED = exceptions.OtpRejected.code, pgettext_lazy("OTP", "rejected by Valify")
        VALIFY_MISCONFIGURED = (
            exceptions.ValifyMisconfigured.code,
            pgettext_lazy("OTP", "Valify misconfigured"),
        )
        VALIFY_BUSY = exceptions.ValifyBusy.code, pgettext_lazy("OTP", "Valify busy")
        VALIFY_UNREACHABLE = (
            exceptions.ValifyUnreachable.code,
            pgettext_lazy("OTP", "Valify unreachable"),
        )
        QUEUE_EXPIRED = exceptions.QueueExpired.code, pgettext_lazy("OTP", "too long in the queue")
        OUTCOME_UNKNOWN = exceptions.OutcomeUnknown.code, pgettext_lazy("OTP", "outcome unknown")

    OPEN: ClassVar = (Status.QUEUED, Status.PENDING)
    # Counts against limits, and holds an idempotency key.
    MAY_HAVE_SENT: ClassVar = (Status.QUEUED, Status.PENDING, Status.SENT, Status.UNKNOWN)
    # With the rejected ones, or somebody could try for ever with numbers that Valify refuses.
    MAY_HAVE_SENT_OR_REJECTED: ClassVar = (*MAY_HAVE_SENT, Status.REJECTED)
    # What is set to the moment of its admission.
    ADMITTED_AT: ClassVar = {
        Status.QUEUED.value: ("created_at", "handed_over_at"),
        Status.PENDING.value: ("created_at", "called_at"),
    }
    # Set on a row that answers a repeated request.
    replayed = False

    status: "models.CharField[str, str]" = models.CharField(
        pgettext_lazy("OTP", "status"), max_length=8, choices=Status
    )
    code: "models.CharField[str, str]" = models.CharField(
        pgettext_lazy("OTP", "code"), max_length=32, choices=Code, blank=True
    )
    phone_number: "models.CharField[str, str]" = models.CharField(
        pgettext_lazy("OTP", "phone number"), max_length=11
    )
    lang: "models.CharField[str, str]" = models.CharField(
        pgettext_lazy("OTP", "language"), max_length=2
    )
    purpose: "models.CharField[str, str]" = models.CharField(
        pgettext_lazy("OTP", "purpose"), max_length=32, blank=True
    )
    limited_network: "models.CharField[str, str]" = models.CharField(
        pgettext_lazy("OTP", "limited network"),
        max_length=43,
        blank=True,
        help_text=pgettext_lazy(
            "OTP", "What the limits per address count as one client; empty for a private one."
        ),
    )
    blocked_by: "models.CharField[str, str]" = models.CharField(
        pgettext_lazy("OTP", "blocked by"),
        max_length=100,
        blank=True,
        help_text=pgettext_lazy("OTP", "The limit or block that refused."),
    )
    # Unique by a constraint: for a unique column PostgreSQL would get a second index, for LIKE.
    idempotency_hash = models.CharField(max_length=64, null=True, editable=False)  # noqa: DJ001
    transaction_id: "models.CharField[str, str]" = models.CharField(
        pgettext_lazy("OTP", "transaction ID"), max_length=255, blank=True
    )
    trials_remaining: "models.PositiveSmallIntegerField[int | None, int | None]" = (
        models.PositiveSmallIntegerField(
            pgettext_lazy("OTP", "trials remaining"),
            null=True,
            blank=True,
            help_text=pgettext_lazy(
                "OTP",
                "How often the access token of that call could still be used; not a balance of"
                " messages or of attempts.",
            ),
        )
    )
    verified_at: "models.DateTimeField[datetime | None, datetime | None]" = models.DateTimeField(
        pgettext_lazy("OTP", "verified at"), null=True, blank=True
    )
    resend_at: "models.DateTimeField[datetime | None, datetime | None]" = models.DateTimeField(
        pgettext_lazy("OTP", "resend at"),
        null=True,
        blank=True,
        help_text=pgettext_lazy(
            "OTP",
            "From when the limits per number and per user allowed the next send, as of this one.",
        ),
    )
    handed_over_at: "models.DateTimeField[datetime | None, datetime | None]" = models.DateTimeField(
        pgettext_lazy("OTP", "handed over at"),
        null=True,
        blank=True,
        help_text=pgettext_lazy(
            "OTP", "When it last went to the task queue; empty if it never waited in one."
        ),
    )
    # Null where the row does not count, so that an index of them passes over refused attempts.
    counted_at = models.GeneratedField(
        expression=Case(When(status__in=MAY_HAVE_SENT, then=F("created_at"))),
        output_field=models.DateTimeField(null=True),
        db_persist=True,
    )
    counted_with_rejected_at = models.GeneratedField(
        expression=Case(When(status__in=MAY_HAVE_SENT_OR_REJECTED, then=F("created_at"))),
        output_field=models.DateTimeField(null=True),
        db_persist=True,
    )

    objects = OtpSendQuerySet.as_manager()

    class Meta:
        verbose_name = pgettext_lazy("OTP", "OTP send")
        verbose_name_plural = pgettext_lazy("OTP", "OTP sends")
        permissions = [("view_phone_number", pgettext_lazy("OTP", "Can view whole phone numbers"))]
        # With the ID, they have what the list is ordered by, and so find a page without its rows.
        # On PostgreSQL the migration leaves out of some the rows in which there is nothing to find.
        indexes = [
            models.Index(fields=["created_at", "id"], name="valify_send_created"),
            models.Index(fields=["counted_at"], name="valify_send_counted"),
            models.Index(fields=["phone_number", "counted_at"], name="valify_send_number"),
            models.Index(fields=["caller", "counted_with_rejected_at"], name="valify_send_caller"),
            models.Index(
                fields=["limited_network", "counted_with_rejected_at"], name="valify_send_network"
            ),
            models.Index(fields=["status", "created_at", "id"], name="valify_send_status"),
            models.Index(fields=["code", "created_at", "id"], name="valify_send_code"),
            models.Index(fields=["purpose", "created_at", "id"], name="valify_send_purpose"),
            models.Index(
                fields=["trials_remaining", "created_at", "id"], name="valify_send_trials"
            ),
            models.Index(fields=["transaction_id"], name="valify_send_transaction"),
            models.Index(fields=["ip_address", "created_at", "id"], name="valify_send_address"),
            models.Index(fields=["blocked_by", "created_at", "id"], name="valify_send_blocked"),
            models.Index(fields=["user"], name="valify_send_user"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["idempotency_hash"], name="valify_send_key"),
            models.CheckConstraint(
                condition=~Q(status="sent") | ~Q(transaction_id=""),
                name="valify_send_sent_has_transaction",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["queued", "pending"], settled_at=None)
                | Q(
                    status__in=["sent", "rejected", "failed", "unknown", "blocked"],
                    settled_at__isnull=False,
                ),
                name="valify_send_settled_has_time",
            ),
        ]

    def __str__(self) -> str:
        # An ID that begins with digits is drawn rotated after Arabic, but not after a Latin word.
        return f"{self.status} {self.uuid}"

    @property
    def masked_phone_number(self) -> str:
        """Return the number, fit to be shown to anybody who may see the row."""
        return mask(self.phone_number)

    def is_open_to_holders(self, now: datetime, *, code_lifetime: int) -> bool:
        """Tell whether whoever knows the ID of this anonymous attempt may look at it.

        They may while it is open, and as long as its OTP lives.
        """
        return (self.settled_at or self.created_at) > now - timedelta(seconds=code_lifetime)

    def is_expired(self, now: datetime, *, code_lifetime: int) -> bool:
        """Tell whether its OTP is older than ``code_lifetime`` seconds."""
        lifetime = timedelta(seconds=code_lifetime)
        return self.settled_at is not None and self.settled_at + lifetime < now

    def date(self, moment: datetime) -> None:
        """Set the times of its admission."""
        for name in self.ADMITTED_AT[self.status]:
            setattr(self, name, moment)

    def is_queue_expired(self, now: datetime, *, queue_lifetime: int) -> bool:
        """Tell whether it has waited for a worker for over ``queue_lifetime`` seconds."""
        lifetime = timedelta(seconds=queue_lifetime)
        return self.status == self.Status.QUEUED and self.created_at + lifetime < now

    def is_due_for_handover(self, now: datetime) -> bool:
        """Tell whether it should go to the queue again: after 10 seconds, then 20, then 40."""
        if self.status != self.Status.QUEUED or self.handed_over_at is None:
            return False
        waited = self.handed_over_at - self.created_at
        return now >= self.created_at + 2 * waited + FIRST_HANDOVER_WAIT

    def claim(self, now: datetime) -> bool:
        """Take a queued attempt for a call that begins now, unless somebody else has: ``False``."""
        pending = self.Status.PENDING.value
        columns = {"status": pending, "called_at": now}
        queued = self.identified([self.Status.QUEUED])
        using = router.db_for_write(OtpSend)
        if not statements.update(self, columns, where=queued, using=using):
            return False
        self.status, self.called_at = pending, now
        return True

    def note_handover(self, now: datetime) -> bool:
        """Note that it went to the queue again, unless another process has done so: ``False``."""
        using = router.db_for_write(OtpSend)
        rows = OtpSend.objects.using(using).filter(
            pk=self.pk,
            uuid=self.uuid,
            status=self.Status.QUEUED,
            handed_over_at=self.handed_over_at,
        )
        return bool(rows.update(handed_over_at=now))

    def settle(self, *, status: str, settled_at: datetime, **fields: Any) -> bool:
        """Record how it ended, as any row does; one that sent nothing frees its key and place."""
        if status not in self.MAY_HAVE_SENT:
            fields["idempotency_hash"] = fields["resend_at"] = None
        return super().settle(status=status, settled_at=settled_at, **fields)


class OtpVerificationQuerySet(CallRecordQuerySet["OtpVerification"]):
    """Tries."""


class OtpVerification(CallRecord):
    """One try of an OTP that somebody typed. The OTP itself is kept nowhere."""

    class Status(models.TextChoices):
        """How far a try got."""

        PENDING = "pending", pgettext_lazy("OTP", "pending")
        VERIFIED = "verified", pgettext_lazy("OTP", "verified")
        REJECTED = "rejected", pgettext_lazy("OTP", "rejected")
        FAILED = "failed", pgettext_lazy("OTP", "failed")
        UNKNOWN = "unknown", pgettext_lazy("OTP", "unknown")

    class Code(models.TextChoices):
        """Why a try did not verify its send."""

        CODE_REJECTED = (
            exceptions.CodeRejected.code,
            pgettext_lazy("OTP", "code rejected by Valify"),
        )
        NOT_VERIFIABLE = exceptions.NotVerifiable.code, pgettext_lazy("OTP", "not verifiable")
        VALIFY_MISCONFIGURED = (
            exceptions.ValifyMisconfigured.code,
            pgettext_lazy("OTP", "Valify misconfigured"),
        )
        VALIFY_BUSY = exceptions.ValifyBusy.code, pgettext_lazy("OTP", "Valify busy")
        VALIFY_UNREACHABLE = (
            exceptions.ValifyUnreachable.code,
            pgettext_lazy("OTP", "Valify unreachable"),
        )
        OUTCOME_UNKNOWN = exceptions.OutcomeUnknown.code, pgettext_lazy("OTP", "outcome unknown")

    OPEN: ClassVar = (Status.PENDING,)

    otp_send: "models.ForeignKey[OtpSend, OtpSend]" = models.ForeignKey(
        OtpSend,
        verbose_name=pgettext_lazy("OTP", "OTP send"),
        on_delete=models.CASCADE,
        related_name="verifications",
        # PostgreSQL's check of each send that a purge deletes takes ten times as long as the rest.
        db_constraint=False,
    )
    status: "models.CharField[str, str]" = models.CharField(
        pgettext_lazy("OTP", "status"), max_length=8, choices=Status
    )
    code: "models.CharField[str, str]" = models.CharField(
        pgettext_lazy("OTP", "code"), max_length=32, choices=Code, blank=True
    )
    redeemed_at: "models.DateTimeField[datetime | None, datetime | None]" = models.DateTimeField(
        pgettext_lazy("OTP", "redeemed at"),
        null=True,
        blank=True,
        help_text=pgettext_lazy("OTP", "When the site made use of the verification."),
    )

    objects = OtpVerificationQuerySet.as_manager()

    class Meta:
        verbose_name = pgettext_lazy("OTP", "OTP verification")
        verbose_name_plural = pgettext_lazy("OTP", "OTP verifications")
        indexes = [
            models.Index(fields=["created_at"], name="valify_try_created"),
            models.Index(fields=["status", "created_at"], name="valify_try_status"),
            models.Index(fields=["ip_address", "created_at"], name="valify_try_address"),
            models.Index(fields=["user"], name="valify_try_user"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status="pending", settled_at=None)
                | Q(
                    status__in=["verified", "rejected", "failed", "unknown"],
                    settled_at__isnull=False,
                ),
                name="valify_try_settled_has_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.status} {self.uuid}"

    @property
    def token(self) -> str:
        """Return what proves the number to the site, once; ``""`` unless verified."""
        if self.status != self.Status.VERIFIED:
            return ""
        return verification_tokens.sign(self.uuid, purpose=self._sent().purpose)

    def _sent(self) -> OtpSend:
        """Return the send; from where it is written, since a replica may lack it."""
        if OtpVerification.otp_send.is_cached(self):
            return self.otp_send
        return OtpSend.objects.using(router.db_for_write(OtpSend)).get(pk=self.otp_send_id)

    def settle(self, *, status: str, settled_at: datetime, **fields: Any) -> bool:
        """Record how it ended, as any row does; the first one ``verified`` verifies its send.

        Of several that Valify takes for right, the others are ``not_verifiable``.
        """
        if status != self.Status.VERIFIED:
            return super().settle(status=status, settled_at=settled_at, **fields)
        using = router.db_for_write(type(self))
        otp_send = OtpSend(pk=self.otp_send_id)
        with transaction.atomic(using=using):
            is_first = statements.update(
                otp_send, {"verified_at": settled_at}, where={"verified_at": None}, using=using
            )
            if not is_first:
                status, fields["code"] = self.Status.REJECTED, self.Code.NOT_VERIFIABLE
                fields["reason"] = "another try has verified the send"
            won = super().settle(status=status, settled_at=settled_at, **fields)
            if not won:
                transaction.set_rollback(True, using=using)
        if won and is_first:
            self.otp_send.verified_at = settled_at
        return won


def hash_idempotency_key(key: str, *, caller: Caller, phone_number: str) -> str:
    """Return what the row keeps of a key: one for each user, or for each number of anybody else."""
    owner = caller.name if caller.is_logged_in else f"{caller.name}:{phone_number}"
    return hashlib.sha256(f"{owner}\0{key}".encode()).hexdigest()


class SendBlockQuerySet(models.QuerySet["SendBlock"]):
    """Blocks."""

    def in_force(self, now: datetime) -> Self:
        """Return the blocks that have not ended."""
        return self.filter(Q(ends_at=None) | Q(ends_at__gt=now))

    def lift(self, now: datetime) -> int:
        """End the blocks that are in force. Return how many there were."""
        return self.in_force(now).update(ends_at=now)

    def applying_to(
        self,
        now: datetime,
        *,
        phone_number: str,
        ip_address: str | None,
        user_pk: Any,
    ) -> Self:
        """Return the blocks in force that forbid this send."""
        prefixes = [
            phone_number[:length] for length in range(SHORTEST_PREFIX, len(phone_number) + 1)
        ]
        networks = ip_addresses.networks_of(ip_address)
        return self.in_force(now).filter(
            Q(scope=SendBlock.Scope.EVERYTHING)
            | Q(scope=SendBlock.Scope.NUMBER, value=phone_number)
            | Q(scope=SendBlock.Scope.PREFIX, value__in=prefixes)
            | Q(scope=SendBlock.Scope.IP_ADDRESS, value__in=networks)
            | Q(scope=SendBlock.Scope.USER, user__isnull=False, user=user_pk)
        )


class SendBlock(models.Model):
    """Staff's word that something may not be sent. It holds from the moment it is saved."""

    class Scope(models.TextChoices):
        """What a block is about."""

        EVERYTHING = "everything", pgettext_lazy("OTP", "everything")
        NUMBER = "number", pgettext_lazy("OTP", "number")
        PREFIX = "prefix", pgettext_lazy("OTP", "prefix")
        IP_ADDRESS = "ip_address", pgettext_lazy("OTP", "IP address")
        USER = "user", pgettext_lazy("OTP", "user")

    id: "models.BigAutoField[int, int]" = models.BigAutoField(primary_key=True)
    scope: "models.CharField[str, str]" = models.CharField(
        pgettext_lazy("OTP", "scope"), max_length=10, choices=Scope
    )
    # The number, its first digits, or the address; empty for everything and for a user.
    value: "models.CharField[str, str]" = models.CharField(
        pgettext_lazy("OTP", "value"), max_length=64, blank=True
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=pgettext_lazy("OTP", "user"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    reason: "models.CharField[str, str]" = models.CharField(
        pgettext_lazy("OTP", "reason"), max_length=255, blank=True
    )
    ends_at: "models.DateTimeField[datetime | None, datetime | None]" = models.DateTimeField(
        pgettext_lazy("OTP", "ends at"),
        null=True,
        blank=True,
        help_text=pgettext_lazy("OTP", "Empty for a block without an end."),
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=pgettext_lazy("OTP", "created by"),
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
    )
    created_at: "models.DateTimeField[datetime, datetime]" = models.DateTimeField(
        pgettext_lazy("OTP", "created at"), default=timezone.now, editable=False
    )

    objects = SendBlockQuerySet.as_manager()

    class Meta:
        verbose_name = pgettext_lazy("OTP", "send block")
        verbose_name_plural = pgettext_lazy("OTP", "send blocks")
        indexes = [models.Index(fields=["scope", "value"], name="valify_block_value")]

    def __str__(self) -> str:
        return f"{self.scope} {self.masked_value}".rstrip()

    def __repr__(self) -> str:
        return f"<SendBlock {self.pk} ({self.scope})>"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save with the value in its one spelling: in another it would never apply."""
        outlived_its_user = self.pk and self.scope == self.Scope.USER and self.user_id is None
        if not outlived_its_user:
            self.clean()
        super().save(*args, **kwargs)

    def clean(self) -> None:
        """Bring the value into its one spelling. Raises ``ValidationError``."""
        scope = self.Scope(self.scope) if self.scope in self.Scope else None
        if scope is self.Scope.USER and self.user_id is None:
            raise ValidationError(
                {"user": pgettext_lazy("OTP", "Choose the user whose sends are forbidden.")}
            )
        if scope is not self.Scope.USER and self.user_id is not None:
            raise ValidationError(
                {"user": pgettext_lazy("OTP", "Leave this empty, or choose the scope user.")}
            )
        try:
            self.value = self._normalized_value(scope)
        except ValueError:
            raise ValidationError(
                {"value": pgettext_lazy("OTP", "This value does not fit the scope.")}
            ) from None

    def is_in_force(self, now: datetime) -> bool:
        """Tell whether it has not ended."""
        return self.ends_at is None or self.ends_at > now

    def refused(self) -> OtpSendQuerySet:
        """Return the attempts that it refused."""
        return OtpSend.objects.filter(blocked_by=self.name)

    @property
    def name(self) -> str:
        """Return what the attempts that it refused keep in ``blocked_by``."""
        return f"SendBlock {self.pk}"

    @property
    def masked_value(self) -> str:
        """Return the value, masked where it is a number or most of one."""
        is_telling = self.scope in {self.Scope.NUMBER, self.Scope.PREFIX} and len(self.value) > 6
        return mask(self.value) if is_telling else self.value

    def _normalized_value(self, scope: Scope | None) -> str:
        match scope:
            case self.Scope.NUMBER:
                return normalize(self.value)
            case self.Scope.PREFIX:
                return normalize_prefix(self.value)
            case self.Scope.IP_ADDRESS:
                return ip_addresses.canonical_network(self.value)
        if self.value:
            raise ValueError
        return ""


class DailyTotal(models.Model):
    """How a day went, in figures about nobody, which stay when its rows are purged."""

    id = models.BigAutoField(primary_key=True)
    day = models.DateField(pgettext_lazy("OTP", "day"), unique=True)
    figures = models.JSONField(pgettext_lazy("OTP", "figures"))

    class Meta:
        verbose_name = pgettext_lazy("OTP", "daily total")
        verbose_name_plural = pgettext_lazy("OTP", "daily totals")
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.day)


class LimitLock(models.Model):
    """A row to lock. All sends that could use up the same limit lock the same one."""

    COUNT: ClassVar = 256

    id = models.PositiveSmallIntegerField(primary_key=True)

    class Meta:
        verbose_name = pgettext_lazy("OTP", "lock of send limits")
        verbose_name_plural = pgettext_lazy("OTP", "locks of send limits")
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.pk)


class LimitTally(models.Model):
    """How many attempts had counted towards the limits of one scope, up to a moment.

    The difference of two tallies is what counted between them, so that no limit has to count more
    rows than there are between two. No row of before ``counted_until`` is open, so none changes.
    """

    id = models.BigAutoField(primary_key=True)
    # An HMAC: it names neither the user nor the address.
    scope = models.CharField(max_length=64)
    counted_until = models.DateTimeField()
    total = models.BigIntegerField()

    class Meta:
        verbose_name = pgettext_lazy("OTP", "tally of send limits")
        verbose_name_plural = pgettext_lazy("OTP", "tallies of send limits")
        default_permissions = ()
        indexes = [models.Index(fields=["scope", "total"], name="valify_tally_total")]
        constraints = [
            models.UniqueConstraint(fields=["scope", "counted_until"], name="valify_tally_until")
        ]

    def __str__(self) -> str:
        return f"{self.scope[:8]} {self.total}"
