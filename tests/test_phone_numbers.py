import pytest

from django_valify_otp.exceptions import InvalidPhoneNumber
from django_valify_otp.phone_numbers import mask, normalise


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
    assert normalise(spelling) == "01012345678"


@pytest.mark.parametrize("prefix", ["010", "011", "012", "015"])
def test_each_network_is_served(prefix: str) -> None:
    assert normalise(f"{prefix}00000000") == f"{prefix}00000000"


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
        normalise(text)
    assert isinstance(caught.value, ValueError)
    assert caught.value.code == "invalid"
    assert caught.value.otp_send is None
    assert "11 digits" in str(caught.value)


def test_mask_keeps_both_ends() -> None:
    assert mask("01012345678") == "010*****678"
