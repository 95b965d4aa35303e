"""The form that makes a block: one field for each kind of value."""

from collections.abc import Callable
from typing import Any, ClassVar

from django import forms
from django.contrib.admin.widgets import (
    AdminSplitDateTime,
    AdminTextInputWidget,
    ForeignKeyRawIdWidget,
)
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import pgettext_lazy

from django_valify_otp.audit.people import find_users, may_search
from django_valify_otp.callers import User
from django_valify_otp.ip_addresses import canonical_network, surrounding_network
from django_valify_otp.models import OtpSend, SendBlock
from django_valify_otp.phone_numbers import mask_numbers, normalize, normalize_prefix

# In digits. With fewer, a slip of the keyboard would block all the numbers of a carrier.
SHORTEST_BLOCKED_PREFIX = 4
# In digits: a range of ten thousand numbers, as carriers hand them out.
SUGGESTED_PREFIX = 7
Scope = SendBlock.Scope


def _read_prefix(text: str) -> str:
    prefix = normalize_prefix(text)
    if len(prefix) < SHORTEST_BLOCKED_PREFIX:
        raise ValueError
    return prefix


# By scope: the field of its value.
FIELDS = {
    Scope.NUMBER: "number",
    Scope.PREFIX: "first_digits",
    Scope.IP_ADDRESS: "ip_address",
    Scope.USER: "user",
}
READERS: dict[str, Callable[[str], str]] = {
    Scope.NUMBER: normalize,
    Scope.PREFIX: _read_prefix,
    Scope.IP_ADDRESS: canonical_network,
}
ERRORS = {
    Scope.NUMBER: pgettext_lazy(
        "OTP", "Enter a whole Egyptian mobile number, such as 01234567890."
    ),
    Scope.PREFIX: pgettext_lazy(
        "OTP", "Enter the first digits of numbers, such as 0101234, at least 4 digits."
    ),
    Scope.IP_ADDRESS: pgettext_lazy(
        "OTP", "Enter an IP address or a network, such as 41.32.10.7 or 41.32.10.0/24."
    ),
    Scope.USER: pgettext_lazy(
        "OTP", "Enter the ID, user name or e-mail address of one user, such as 42 or mona."
    ),
}


def filled_in(attempt: OtpSend, scope: str, *, may_look: bool) -> dict[str, Any]:
    """Return the fields of a form that blocks more like this attempt.

    Those who may not see the whole number get it masked, and may block it all the same.
    """
    digits = SUGGESTED_PREFIX if may_look else SHORTEST_BLOCKED_PREFIX
    number = attempt.phone_number
    match scope:
        case "number" if number:
            shown = number if may_look else attempt.masked_phone_number
            return {"scope": Scope.NUMBER, "number": shown}
        case "prefix" if number:
            return {"scope": Scope.PREFIX, "first_digits": number[:digits]}
        case "ip_address" if attempt.ip_address:
            return {"scope": Scope.IP_ADDRESS, "ip_address": attempt.ip_address}
        case "network" if attempt.ip_address:
            network = surrounding_network(attempt.ip_address)
            return {"scope": Scope.IP_ADDRESS, "ip_address": network}
        case "user" if attempt.user_id is not None:
            key = str(attempt.user_id)
            return {"scope": Scope.USER, "user": key if may_look else mask_numbers(key)}
    return {}


class MaskedUserWidget(ForeignKeyRawIdWidget):
    """The ID of a user, with their name beside it, masked if it is a number."""

    def label_and_url_for_value(self, value: Any) -> tuple[str, str]:
        """Return the name and the address of the user's page."""
        label, url = super().label_and_url_for_value(value)
        return mask_numbers(str(label)), url


class EndWidget(AdminSplitDateTime):
    """A day and a time, each with a name of its own for screen readers."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        labels = (pgettext_lazy("OTP", "day of the end"), pgettext_lazy("OTP", "time of the end"))
        for widget, label in zip(self.widgets, labels, strict=True):
            widget.attrs["aria-label"] = label


class UserField(forms.ModelChoiceField):  # type: ignore[type-arg]
    """A user by ID, user name or e-mail address."""

    searcher: User
    # The user of the attempt that the form was filled in from, by the masked ID.
    stand_in: tuple[str, Any] = ("", None)

    def to_python(self, value: Any) -> Any:
        """Return the user."""
        masked, user_id = self.stand_in
        if value in self.empty_values:
            return None
        if value == masked:
            return super().to_python(user_id)
        term = value.strip()
        users = find_users(term) if may_search(self.searcher, term) else []
        if len(users) != 1:
            raise ValidationError(ERRORS[Scope.USER], code="invalid_choice")
        return users[0]


class StoppingForm(forms.ModelForm):  # type: ignore[type-arg]
    """What the form of a new block and that of an old one share."""

    confirm = forms.BooleanField(
        label=pgettext_lazy("OTP", "Yes, stop all sending"),
        required=False,
        help_text=pgettext_lazy(
            "OTP",
            "While this block holds, nobody is sent an OTP: nobody can sign up or log in by one.",
        ),
    )

    def clean_ends_at(self) -> Any:
        """Return the end, if it is one that every database can hold."""
        ends_at = self.cleaned_data["ends_at"]
        if ends_at and not 1 < ends_at.year < 9999:
            raise ValidationError(pgettext_lazy("OTP", "Enter a year between 2 and 9998."))
        return ends_at

    def _ask_once_more(self, ends_at: Any) -> None:
        """Ask for the tick of whoever stops all sending."""
        stops = not self.errors and (ends_at is None or ends_at > timezone.now())
        if stops and not self.cleaned_data.get("confirm"):
            self.add_error(
                "confirm",
                ValidationError(
                    pgettext_lazy(
                        "OTP", "This block stops all sending. Tick the box if you mean it."
                    )
                ),
            )


class AddBlockForm(StoppingForm):
    """A new block. The model's one column for values has a field for each kind of value."""

    # Who fills the form in, and the attempt that it was filled in from.
    person: ClassVar[User]
    attempt: ClassVar[OtpSend | None] = None

    number = forms.CharField(
        label=capfirst(pgettext_lazy("OTP", "phone number")),
        required=False,
        widget=AdminTextInputWidget({"dir": "ltr"}),
        help_text=pgettext_lazy("OTP", "A whole number in any spelling, such as 01234567890."),
    )
    first_digits = forms.CharField(
        label=capfirst(pgettext_lazy("OTP", "first digits")),
        required=False,
        widget=AdminTextInputWidget({"dir": "ltr"}),
        help_text=pgettext_lazy(
            "OTP",
            "Such as 0101234: 7 digits block ten thousand numbers, 4 digits ten million.",
        ),
    )
    ip_address = forms.CharField(
        label=pgettext_lazy("OTP", "IP address or network"),
        required=False,
        widget=AdminTextInputWidget({"dir": "ltr"}),
        help_text=pgettext_lazy("OTP", "Such as 41.32.10.7 or 41.32.10.0/24."),
    )

    class Meta:
        model = SendBlock
        fields = ("scope", "user", "reason", "ends_at")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        users: Any = self.fields["user"]
        users.searcher = self.person
        if self.attempt and self.attempt.user_id is not None:
            key = str(self.attempt.user_id)
            users.stand_in = (mask_numbers(key), key)

    def clean(self) -> dict[str, Any]:
        """Read the value of the scope, and leave no other."""
        cleaned = super().clean() or self.cleaned_data
        scope = cleaned.get("scope")
        for other, name in FIELDS.items():
            if other != scope and cleaned.get(name):
                message = pgettext_lazy("OTP", "Leave this empty, or choose its scope above.")
                self.add_error(name, ValidationError(message))
        if scope == Scope.EVERYTHING:
            self._ask_once_more(cleaned.get("ends_at"))
        elif scope == Scope.USER:
            if not cleaned.get("user") and "user" not in self.errors:
                self.add_error("user", ValidationError(ERRORS[Scope.USER]))
        elif scope:
            self._read_value(scope)
        if scope and not self.errors:
            self._refuse_twin(scope, cleaned.get("user"))
        return cleaned

    def clean_ends_at(self) -> Any:
        """Return the end, if it is still to come."""
        ends_at = super().clean_ends_at()
        if ends_at and ends_at <= timezone.now():
            message = pgettext_lazy("OTP", "This time has passed: the block would never hold.")
            raise ValidationError(message)
        return ends_at

    def _refuse_twin(self, scope: str, user: Any) -> None:
        """Refuse a second block of the same: who lifts one of them would think that all is done."""
        twins = SendBlock.objects.in_force(timezone.now()).filter(
            scope=scope, value=self.instance.value, user=user
        )
        if twins.exists():
            message = pgettext_lazy(
                "OTP", "This is blocked already. Change that block, or lift it, instead."
            )
            self.add_error(FIELDS.get(Scope(scope), "scope"), ValidationError(message))

    def _read_value(self, scope: str) -> None:
        name = FIELDS[Scope(scope)]
        text = self.cleaned_data.get(name, "")
        if self.attempt and scope == Scope.NUMBER and text == self.attempt.masked_phone_number:
            text = self.attempt.phone_number
        try:
            self.instance.value = READERS[scope](text)
        except ValueError:
            self.add_error(name, ValidationError(ERRORS[Scope(scope)]))

    def _post_clean(self) -> None:
        # The model would name its own column, which is no field of this form.
        if not self.errors:
            super()._post_clean()  # type: ignore[misc]


class ChangeBlockForm(StoppingForm):
    """A block that is there: it can be explained, and it can end earlier or later."""

    class Meta:
        model = SendBlock
        fields = ("reason", "ends_at")

    def clean(self) -> dict[str, Any]:
        """Ask once more before all sending is stopped for longer."""
        cleaned = super().clean() or self.cleaned_data
        if self.instance.scope == Scope.EVERYTHING and "ends_at" in self.changed_data:
            self._ask_once_more(cleaned.get("ends_at"))
        return cleaned
