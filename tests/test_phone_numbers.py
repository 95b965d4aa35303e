import random
from itertools import product

import phonenumbers
import pytest

from django_valify_otp.exceptions import InvalidPhoneNumber
from django_valify_otp.phone_numbers import mask, mask_numbers, normalize


@pytest.mark.parametrize(
    "spelling",
    [
        "01012345678",
        "1012345678",
        "+201012345678",
        "+20 10 1234 5678",
        "+20 010 1234 5678",
        "00201012345678",
        "0020 10 1234 5678",
        "201012345678",
        "010-1234-5678",
        "010\u20111234\u22125678",
        "(010) 1234 5678",
        "010.1234.5678",
        " 010\t1234\u00a05678\n",
        "٠١٠١٢٣٤٥٦٧٨",
        "۰۱۰۱۲۳۴۵۶۷۸",
        "०१०१२३४५६७८",
        "０１０１２３４５６７８",
        "＋２０ １０ １２３４ ５６７８",
        "\u202a+20 10 1234 5678\u202c",
        "\u200e01012345678\u200f",
        "(+20) 10 1234 5678",
    ],
)
def test_every_spelling_is_the_same_number(spelling: str) -> None:
    assert normalize(spelling) == "01012345678"


@pytest.mark.parametrize("prefix", ["010", "011", "012", "015"])
def test_each_network_is_served(prefix: str) -> None:
    assert normalize(f"{prefix}00000000") == f"{prefix}00000000"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "+",
        "0223456789",  # a landline in Cairo
        "0101234567",
        "010123456789",
        "01312345678",
        "+14155552671",
        "+966501234567",
        "01012345678 ext 5",
        "01012345678;ext=5",
        "01012345678x5",
        "tel:01012345678",
        "0101234ABCD",
        "01012345678a",
        "010123456٧a",
        "01012345²78",
        "①①①①①①①①①①①",
        "++201012345678",
        "20+1012345678",
        "0101234567\x008",
        "01012345678,01012345679",
        "010/1234/5678",
        "١" * 10_000,
        "0" * 10_000,
        "\ud800",
        None,
        1012345678,
        True,
        ["01012345678"],
        {"phone_number": "01012345678"},
        b"01012345678",
    ],
)
def test_anything_else_is_refused(text: object) -> None:
    with pytest.raises(InvalidPhoneNumber) as caught:
        normalize(text)
    assert isinstance(caught.value, ValueError)
    assert caught.value.code == "invalid"
    assert caught.value.otp_send is None
    assert "11 digits" in str(caught.value)


def normalized(text: str) -> str | None:
    try:
        return normalize(text)
    except InvalidPhoneNumber:
        return None


def parsed(text: str) -> str | None:
    """Return what phonenumbers makes of a text that somebody dials in Egypt."""
    try:
        number = phonenumbers.parse(text, "EG")
    except phonenumbers.NumberParseException:
        return None
    is_mobile = phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.MOBILE
    is_ours = number.country_code == 20 and phonenumbers.is_valid_number(number) and is_mobile
    return f"0{number.national_number}" if is_ours else None


@pytest.mark.parametrize("rest", ["1012345678", "1312345678", "101234567", "10123456789"])
def test_what_may_stand_before_a_number_is_what_phonenumbers_reads(rest: str) -> None:
    for length in range(6):
        for prefix in product("+0123", repeat=length):
            text = f"{''.join(prefix)}{rest}"
            assert normalized(text) == (None if "+" in text[1:] else parsed(text)), text


def test_which_numbers_are_mobile_is_what_phonenumbers_knows() -> None:
    choose = random.Random(2026)
    for first in range(100_000):
        text = f"{first:05}{choose.randrange(10**6):06}"
        assert normalized(text) == parsed(text), text


def test_mask_keeps_both_ends() -> None:
    assert mask("01012345678") == "010*****678"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("01012345678", "010*****678"),
        ("user:01012345678", "user:010*****678"),
        ("user:+20 10 1234 5678", "user:010*****678"),
        ("accounts.driver:1012345678", "accounts.driver:010*****678"),
        ("٠١٠١٢٣٤٥٦٧٨", "010*****678"),
        ("01012345678@example.com", "010*****678@example.com"),
        ("Mona (010-1234-5678)", "Mona (010*****678)"),
        ("01012345678 01112345678", "010*****678 011*****678"),
        ("2 1012345678", "2 010*****678"),
    ],
)
def test_numbers_in_names_are_masked(text: str, masked: str) -> None:
    assert mask_numbers(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        *("", "mona", "user:17", "anonymous", "user:None", "0223456789", "010123456789"),
        *("user:6f9619ff-8b86-d011-b42d-00cf4fc964ff", "user:1790842345987654321", "010*****678"),
    ],
)
def test_other_names_stay_as_they_are(text: str) -> None:
    assert mask_numbers(text) == text
