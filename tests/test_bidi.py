"""The direction of texts on the admin's pages."""

import pytest
from django.utils import translation

from django_valify_otp.audit.bidi import END, START, isolated, left_to_right, own_direction


def test_an_id_reads_left_to_right() -> None:
    assert left_to_right("6f96-19ff") == '<bdi dir="ltr">6f96-19ff</bdi>'
    assert left_to_right(21) == '<bdi dir="ltr">21</bdi>'


def test_a_text_reads_in_its_own_direction() -> None:
    assert own_direction("رقم غير صحيح") == '<bdi dir="auto">رقم غير صحيح</bdi>'


def test_texts_are_escaped() -> None:
    for directed in (left_to_right("<b>"), own_direction("<b>")):
        assert "&lt;b&gt;" in directed
        assert "<b>" not in directed


@pytest.mark.parametrize("text", ["", None])
def test_nothing_has_no_direction(text: str) -> None:
    assert left_to_right(text) == ""
    assert own_direction(text) == ""


def test_plain_text_is_isolated_where_it_would_be_drawn_rotated() -> None:
    assert isolated("6f96-19ff") == "6f96-19ff"
    with translation.override("ar"):
        assert isolated("6f96-19ff") == f"{START}6f96-19ff{END}"
        assert isolated("") == ""
