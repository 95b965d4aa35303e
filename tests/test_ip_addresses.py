import pytest

from django_valify_otp.ip_addresses import parse


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("41.32.10.7", "41.32.10.7"),
        (" 41.32.10.7 ", "41.32.10.7"),
        ("41.32.10.7:5678", "41.32.10.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:41.32.10.7", "41.32.10.7"),
        ("", None),
        (None, None),
        ("unknown", None),
        ("41.32.10", None),
        ("41.32.10.7, 41.32.10.8", None),
        ("[", None),
    ],
)
def test_parse(text: str | None, address: str | None) -> None:
    assert parse(text) == address
