"""The entry field, as Django renders it; tests/browser types into it."""

import re
from importlib.resources import files

import pytest
from django.template.loader import render_to_string
from django.test import RequestFactory
from django.utils import translation

STATIC = files("django_valify_otp") / "static" / "django_valify_otp"
TEMPLATE = "django_valify_otp/otp_entry.html"
LARGEST = 4000


def test_the_module_is_small() -> None:
    assert len((STATIC / "otp_entry.js").read_bytes()) < LARGEST


def test_the_template_has_no_inline_script_and_no_inline_style() -> None:
    found = render_to_string(TEMPLATE)
    assert '<script type="module" src="' in found
    assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", found)


def test_the_module_finds_its_elements_and_its_texts() -> None:
    found = render_to_string(TEMPLATE, {"purpose": "signup"})
    module = (STATIC / "otp_entry.js").read_text("utf-8")
    [elements] = re.findall(r"const \{\s*(phone_number[^}]*)\}", module)
    for name in re.findall(r"(\w+)(?:: \w+)?,", elements):
        assert len(re.findall(f'id="{name}"', found)) == 1, name
    texts = {*re.findall(r"texts\.(\w+)", module), "queued"}
    assert set(re.findall(r"data-(\w+)=", found)) == texts


@pytest.mark.parametrize(
    ("language", "label"), [("en", "Mobile number"), ("ar", "رقم الهاتف المحمول")]
)
def test_the_texts_are_in_the_language_of_the_page(language: str, label: str) -> None:
    with translation.override(language):
        found = render_to_string(TEMPLATE)
    assert f'<label for="phone_number">{label}</label>' in found
    assert f'data-lang="{language}"' in found


def test_the_purpose_is_that_of_the_page() -> None:
    assert 'data-purpose="signup"' in render_to_string(TEMPLATE, {"purpose": "signup"})
    # The API refuses an empty purpose.
    assert "data-purpose" not in render_to_string(TEMPLATE)


def test_the_csrf_token_is_there_if_the_page_has_one() -> None:
    request = RequestFactory().get("/")
    assert re.search(r'data-csrf="\w{64}"', render_to_string(TEMPLATE, request=request))
    assert request.META["CSRF_COOKIE_NEEDS_UPDATE"]
    assert 'data-csrf=""' in render_to_string(TEMPLATE)


def test_phones_offer_the_number_and_the_code() -> None:
    found = render_to_string(TEMPLATE)
    [number, otp] = re.findall(r"<input [^>]*>", found)
    assert 'type="tel"' in number
    assert 'autocomplete="tel-national"' in number
    assert 'autocomplete="one-time-code"' in otp
    assert 'inputmode="numeric"' in otp
