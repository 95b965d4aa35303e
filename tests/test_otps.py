"""OTPs in every spelling that people use."""

from typing import Any

import pytest

from django_valify_otp.otps import Otp, read_otp


@pytest.mark.parametrize(
    "text",
    [
        "123456",
        " 123456 ",
        "123 456",
        "123-456",
        "12\u201034\u201356",
        "1 2 3 4 5 6",
        "١٢٣٤٥٦",
        "۱۲۳۴۵۶",
        "１２３４５６",
        "\u200f١٢٣\u00a0٤٥٦\u200e",
        "123456\n",
    ],
)
def test_spellings(text: str) -> None:
    assert read_otp(text) == Otp("123456")


def test_leading_zeros_stay() -> None:
    assert read_otp("000007") == Otp("000007")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "12345",
        "1234567",
        "12345a",
        "12.3456",
        "+123456",
        "²23456",
        "１２３４５",
        "1" * 10_000,
        " " * 100 + "123456",
        "\ud800",
        "123456\x00",
        None,
        123456,
        True,
        ["123456"],
        {},
    ],
)
def test_anything_else_is_none(text: Any) -> None:
    assert read_otp(text) is None


def test_it_does_not_show() -> None:
    assert "123456" not in repr(read_otp("123456"))
