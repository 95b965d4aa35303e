"""The record: one row for each attempt, whatever becomes of it."""

import hashlib
import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self, TypeVar

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.db import models, router, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_valify_otp import exceptions, ip_addresses, verification_tokens
from django_valify_otp.phone_numbers import SHORTEST_PREFIX, mask, normalise, normalise_prefix

Row = TypeVar("Row", bound="CallRecord")

ANONYMOUS = "anonymous"
SYSTEM = "system"
ERASED = "erased"


def caller_of(user: AbstractBaseUser | AnonymousUser | None) -> str:
    """Whose an attempt is, as written on its row: it outlives the user."""
    if user is None:
        return SYSTEM
    return f"user:{user.pk}" if user.is_authenticated else ANONYMOUS


def _patience(deadline: float) -> timedelta:
    # Past the deadline a call needs a moment to write its answer.
    return timedelta(seconds=deadline + 10)


class CallRecordQuerySet(models.QuerySet[Row]):
    """Rows that record calls."""

    def overdue(self, *, deadline: float) -> Self:
        """The rows whose call must be over: ``deadline`` seconds, and some, have passed."""
        return self.filter(status="pending", called_at__lt=timezone.now() - _patience(deadline))

    def in_batches(self, size: int) -> Iterator[list[Row]]:
        """The rows, newest first, of which there are never more than ``size`` in memory.

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

    id = models.BigAutoField(primary_key=True)
    uuid = models.UUIDField(_("ID"), default=uuid.uuid4, unique=True, editable=False)
    status = models.CharField(_("status"), max_length=8)
    code = models.CharField(_("code"), max_length=32, blank=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    caller = models.CharField(
        _("caller"),
        max_length=255,
        help_text=_("Whose wish it was; stays when the user is deleted."),
    )
    ip_address = models.GenericIPAddressField(_("IP address"), null=True, blank=True)
    token_fingerprint = models.CharField(
        _("token fingerprint"),
        max_length=16,
        blank=True,
        help_text=_("The same for all calls that shared an access token."),
    )
    calls = models.PositiveSmallIntegerField(
        _("calls"), default=0, help_text=_("Requests that may have reached Valify.")
    )
    http_status = models.PositiveSmallIntegerField(_("HTTP status"), null=True, blank=True)
    error_code = models.CharField(_("Valify's error code"), max_length=64, blank=True)
    valify_message = models.CharField(_("Valify's message"), max_length=500, blank=True)
    reason = models.CharField(
        _("technical reason"),
        max_length=100,
        blank=True,
        help_text=_("What this app saw when it settled the row."),
    )
    created_at = models.DateTimeField(_("created at"))
    called_at = models.DateTimeField(_("called at"), null=True, blank=True)
    settled_at = models.DateTimeField(_("settled at"), null=True, blank=True)

    class Meta:
        abstract = True

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"

    @property
    def duration(self) -> timedelta | None:
        """From the start of the call to the record of its answer; ``None`` while open."""
        return self.settled_at - self.called_at if self.settled_at and self.called_at else None

    def is_overdue(self, *, deadline: float) -> bool:
        """Whether its call must be over, ``deadline`` being the seconds that one may take."""
        return (
            self.status == "pending"
            and self.called_at is not None
            and self.called_at < timezone.now() - _patience(deadline)
        )

    def settle(self, *, status: str, settled_at: datetime | None = None, **fields: Any) -> bool:
        """Record how it ended, unless somebody else did so first: then ``False``.

        Texts are cut to their columns. The row in memory has what the database has.
        """
        fields = {name: self._cut(name, value) for name, value in fields.items()}
        fields |= {"status": status, "settled_at": settled_at or timezone.now()}
        using = router.db_for_write(type(self), instance=self)
        rows = type(self).objects.using(using)
        if rows.filter(pk=self.pk, status__in=self.OPEN).update(**fields):
            for name, value in fields.items():
                setattr(self, name, value)
            return True
        self.refresh_from_db(using=using)
        return False

    def _cut(self, name: str, value: Any) -> Any:
        column: Any = self._meta.get_field(name)
        return value[: column.max_length] if isinstance(value, str) else value


class OtpSendQuerySet(CallRecordQuerySet["OtpSend"]):
    """Attempts."""

    def having_in_common(self, what: str, sibling: "OtpSend") -> Self:
        """The attempts with a sibling's ``number``, ``caller`` or access ``token``."""
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

    def of(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """The attempts that this user made while logged in."""
        return self.filter(caller=caller_of(user)) if user.is_authenticated else self.none()

    def open_to_holders(self, *, code_lifetime: int) -> Self:
        """Anonymous attempts of the last ``code_lifetime`` seconds, open to who knows their id."""
        since = timezone.now() - timedelta(seconds=code_lifetime)
        recent = Q(settled_at__gt=since) | Q(settled_at=None, created_at__gt=since)
        return self.filter(recent, caller=ANONYMOUS)


class OtpSend(CallRecord):
    """One attempt to send an OTP to one phone number."""

    class Status(models.TextChoices):
        """How far an attempt got."""

        QUEUED = "queued", _("queued")
        PENDING = "pending", _("pending")
        SENT = "sent", _("sent")
        REJECTED = "rejected", _("rejected")
        FAILED = "failed", _("failed")
        UNKNOWN = "unknown", _("unknown")
        BLOCKED = "blocked", _("blocked")

    class Code(models.TextChoices):
        """Why an attempt was not sent."""

        SEND_LIMIT_REACHED = exceptions.SendLimitReached.code, _("send limit reached")
        SEND_FORBIDDEN = exceptions.SendForbidden.code, _("send forbidden")
        SENDING_PAUSED = exceptions.SendingPaused.code, _("sending paused")
        REJECTED = exceptions.OtpRejected.code, _("rejected by Valify")
        VALIFY_MISCONFIGURED = exceptions.ValifyMisconfigured.code, _("Valify misconfigured")
        VALIFY_BUSY = exceptions.ValifyBusy.code, _("Valify busy")
        VALIFY_UNREACHABLE = exceptions.ValifyUnreachable.code, _("Valify unreachable")
        OUTCOME_UNKNOWN = exceptions.OutcomeUnknown.code, _("outcome unknown")

    OPEN: ClassVar = (Status.QUEUED, Status.PENDING)
    # Counts against limits, and holds an idempotency key.
    MAY_HAVE_SENT: ClassVar = (Status.QUEUED, Status.PENDING, Status.SENT, Status.UNKNOWN)
    # Set on a row that answers a repeated request.
    replayed = False

    status = models.CharField(_("status"), max_length=8, choices=Status)
    code = models.CharField(_("code"), max_length=32, choices=Code, blank=True)
    phone_number = models.CharField(_("phone number"), max_length=11)
    lang = models.CharField(_("language"), max_length=2)
    purpose = models.CharField(_("purpose"), max_length=32, blank=True)
    limited_network = models.CharField(
        _("limited network"),
        max_length=43,
        blank=True,
        help_text=_("What the limits per address count as one client; empty for a private one."),
    )
    blocked_by = models.CharField(
        _("blocked by"), max_length=100, blank=True, help_text=_("The limit or block that refused.")
    )
    idempotency_hash = models.CharField(max_length=64, null=True, unique=True, editable=False)  # noqa: DJ001
    transaction_id = models.CharField(_("transaction ID"), max_length=255, blank=True)
    trials_remaining = models.PositiveSmallIntegerField(
        _("trials remaining"),
        null=True,
        blank=True,
        help_text=_(
            "How often the access token of that call could still be used; not a balance of"
            " messages or of attempts."
        ),
    )
    verified_at = models.DateTimeField(_("verified at"), null=True, blank=True)

    objects = OtpSendQuerySet.as_manager()

    class Meta:
        verbose_name = _("OTP send")
        verbose_name_plural = _("OTP sends")
        permissions = [("view_phone_number", _("Can view whole phone numbers"))]
        # With the ID, they have what the list is ordered by, and so find a page without its rows.
        indexes = [
            models.Index(fields=["created_at", "id"], name="valify_send_created"),
            models.Index(fields=["status", "created_at", "id"], name="valify_send_status"),
            models.Index(fields=["code", "created_at", "id"], name="valify_send_code"),
            models.Index(fields=["purpose", "created_at"], name="valify_send_purpose"),
            models.Index(
                fields=["trials_remaining", "created_at", "id"], name="valify_send_trials"
            ),
            models.Index(fields=["phone_number", "created_at"], name="valify_send_number"),
            models.Index(fields=["caller", "created_at", "id"], name="valify_send_caller"),
            models.Index(fields=["limited_network", "created_at"], name="valify_send_network"),
            models.Index(fields=["transaction_id"], name="valify_send_transaction"),
        ]
        constraints = [
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
        return f"{self.uuid} ({self.status})"

    @property
    def masked_phone_number(self) -> str:
        """The number, fit to be shown to anybody who may see the row."""
        return mask(self.phone_number)

    def is_expired(self, *, code_lifetime: int) -> bool:
        """Whether its code is older than ``code_lifetime`` seconds."""
        lifetime = timedelta(seconds=code_lifetime)
        return self.settled_at is not None and self.settled_at + lifetime < timezone.now()

    def settle(self, *, status: str, settled_at: datetime | None = None, **fields: Any) -> bool:
        """Record how it ended, as any row does; one that sent nothing frees its key."""
        if status not in self.MAY_HAVE_SENT:
            fields["idempotency_hash"] = None
        return super().settle(status=status, settled_at=settled_at, **fields)


class OtpVerificationQuerySet(CallRecordQuerySet["OtpVerification"]):
    """Tries."""

    def spent(self) -> Self:
        """The tries that count: a call of theirs has reached Valify, or may have."""
        return self.exclude(status=OtpVerification.Status.FAILED, calls=0)


class OtpVerification(CallRecord):
    """One try of an OTP that somebody typed. The OTP itself is kept nowhere."""

    class Status(models.TextChoices):
        """How far a try got."""

        PENDING = "pending", _("pending")
        VERIFIED = "verified", _("verified")
        REJECTED = "rejected", _("rejected")
        FAILED = "failed", _("failed")
        UNKNOWN = "unknown", _("unknown")

    class Code(models.TextChoices):
        """Why a try did not verify its send."""

        CODE_REJECTED = exceptions.CodeRejected.code, _("code rejected by Valify")
        NOT_VERIFIABLE = exceptions.NotVerifiable.code, _("not verifiable")
        VALIFY_MISCONFIGURED = exceptions.ValifyMisconfigured.code, _("Valify misconfigured")
        VALIFY_BUSY = exceptions.ValifyBusy.code, _("Valify busy")
        VALIFY_UNREACHABLE = exceptions.ValifyUnreachable.code, _("Valify unreachable")
        OUTCOME_UNKNOWN = exceptions.OutcomeUnknown.code, _("outcome unknown")

    OPEN: ClassVar = (Status.PENDING,)

    otp_send = models.ForeignKey(
        OtpSend,
        verbose_name=_("OTP send"),
        on_delete=models.CASCADE,
        related_name="verifications",
        # PostgreSQL's check of each send that a purge deletes takes ten times as long as the rest.
        db_constraint=False,
    )
    status = models.CharField(_("status"), max_length=8, choices=Status)
    code = models.CharField(_("code"), max_length=32, choices=Code, blank=True)
    redeemed_at = models.DateTimeField(
        _("redeemed at"),
        null=True,
        blank=True,
        help_text=_("When the site made use of the verification."),
    )

    objects = OtpVerificationQuerySet.as_manager()

    class Meta:
        verbose_name = _("OTP verification")
        verbose_name_plural = _("OTP verifications")
        indexes = [
            models.Index(fields=["created_at"], name="valify_try_created"),
            models.Index(fields=["status", "created_at"], name="valify_try_status"),
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
        return f"{self.uuid} ({self.status})"

    @property
    def token(self) -> str:
        """What proves the number to the rest of the site, once; ``""`` unless verified."""
        if self.status != self.Status.VERIFIED:
            return ""
        return verification_tokens.sign(self.uuid, purpose=self.otp_send.purpose)

    def settle(self, *, status: str, settled_at: datetime | None = None, **fields: Any) -> bool:
        """Record how it ended, as any row does; the first one ``verified`` verifies its send.

        Of several that Valify takes for right, the others are ``not_verifiable``.
        """
        if status != self.Status.VERIFIED:
            return super().settle(status=status, settled_at=settled_at, **fields)
        settled_at = settled_at or timezone.now()
        using = router.db_for_write(type(self), instance=self)
        sends = OtpSend.objects.using(using).filter(pk=self.otp_send_id, verified_at=None)
        with transaction.atomic(using=using):
            is_first = sends.update(verified_at=settled_at)
            if not is_first:
                status, fields["code"] = self.Status.REJECTED, self.Code.NOT_VERIFIABLE
                fields["reason"] = "another try has verified the send"
            won = super().settle(status=status, settled_at=settled_at, **fields)
            if not won:
                transaction.set_rollback(True, using=using)
        if won and is_first:
            self.otp_send.verified_at = settled_at
        return won


def hash_idempotency_key(key: str, *, caller: str, phone_number: str) -> str:
    """What the row keeps of a key: one for each user, or for each number of anybody else."""
    owner = caller if caller.startswith("user:") else f"{caller}:{phone_number}"
    return hashlib.sha256(f"{owner}\0{key}".encode()).hexdigest()


class SendBlockQuerySet(models.QuerySet["SendBlock"]):
    """Blocks."""

    def applying_to(
        self,
        *,
        phone_number: str,
        ip_address: str | None,
        user: AbstractBaseUser | AnonymousUser | None,
    ) -> Self:
        """The blocks in force that forbid this send."""
        prefixes = [
            phone_number[:length] for length in range(SHORTEST_PREFIX, len(phone_number) + 1)
        ]
        networks = ip_addresses.networks_of(ip_address)
        return self.filter(
            Q(scope=SendBlock.Scope.EVERYTHING)
            | Q(scope=SendBlock.Scope.NUMBER, value=phone_number)
            | Q(scope=SendBlock.Scope.PREFIX, value__in=prefixes)
            | Q(scope=SendBlock.Scope.IP_ADDRESS, value__in=networks)
            | Q(scope=SendBlock.Scope.USER, user__isnull=False, user=user.pk if user else None),
            Q(ends_at=None) | Q(ends_at__gt=timezone.now()),
        )


class SendBlock(models.Model):
    """Staff's word that something may not be sent. It holds from the moment it is saved."""

    class Scope(models.TextChoices):
        """What a block is about."""

        EVERYTHING = "everything", _("everything")
        NUMBER = "number", _("number")
        PREFIX = "prefix", _("prefix")
        IP_ADDRESS = "ip_address", _("IP address")
        USER = "user", _("user")

    id = models.BigAutoField(primary_key=True)
    scope = models.CharField(_("scope"), max_length=10, choices=Scope)
    value = models.CharField(
        _("value"),
        max_length=64,
        blank=True,
        help_text=_(
            "The number or its first digits in any spelling, or the IP address or network; empty"
            " for everything and for a user."
        ),
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    reason = models.CharField(_("reason"), max_length=255, blank=True)
    ends_at = models.DateTimeField(
        _("ends at"), null=True, blank=True, help_text=_("Empty for a block without an end.")
    )

    objects = SendBlockQuerySet.as_manager()

    class Meta:
        verbose_name = _("send block")
        verbose_name_plural = _("send blocks")
        indexes = [models.Index(fields=["scope", "value"], name="valify_block_value")]

    def __str__(self) -> str:
        is_telling = self.scope in {self.Scope.NUMBER, self.Scope.PREFIX} and len(self.value) > 6
        shown = mask(self.value) if is_telling else self.value
        return f"{self.scope} {shown}".rstrip()

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
            raise ValidationError({"user": _("Choose the user whose sends are forbidden.")})
        if scope is not self.Scope.USER and self.user_id is not None:
            raise ValidationError({"user": _("Leave this empty, or choose the scope user.")})
        try:
            self.value = self._normalised_value(scope)
        except ValueError:
            raise ValidationError({"value": _("This value does not fit the scope.")}) from None

    def _normalised_value(self, scope: Scope | None) -> str:
        match scope:
            case self.Scope.NUMBER:
                return normalise(self.value)
            case self.Scope.PREFIX:
                return normalise_prefix(self.value)
            case self.Scope.IP_ADDRESS:
                return ip_addresses.canonical_network(self.value)
        if self.value:
            raise ValueError
        return ""


class DailyTotal(models.Model):
    """How a day went, in figures about nobody, which stay when its rows are purged."""

    id = models.BigAutoField(primary_key=True)
    day = models.DateField(_("day"), unique=True)
    figures = models.JSONField(_("figures"))

    class Meta:
        verbose_name = _("daily total")
        verbose_name_plural = _("daily totals")
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.day)


class Stripe(models.Model):
    """A row to lock. All sends that could use up the same limit lock the same one."""

    COUNT: ClassVar = 256

    id = models.PositiveSmallIntegerField(primary_key=True)

    class Meta:
        verbose_name = _("lock of send limits")
        verbose_name_plural = _("locks of send limits")
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.pk)
