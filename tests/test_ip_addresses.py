import pytest

from django_valify_otp.exceptions import SendForbidden, SendLimitReached
from django_valify_otp.ip_addresses import (
    canonical_network,
    limited_network,
    networks_of,
    parse,
)
from django_valify_otp.models import SendBlock
from django_valify_otp.services import send_otp
from tests.configuration import Configure
from tests.scripted_server import ScriptedServer


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


# 41.32.10.7 and 10.0.0.1, as tunnels and translators write them in IPv6.
EMBEDDED = {
    "6to4": ("2002:2920:a07::1", "2002:a00:1::1"),
    "Teredo": (
        "2001:0:4136:e378:8000:63bf:d6df:f5f8",
        "2001:0:4136:e378:8000:63bf:f5ff:fffe",
    ),
    "NAT64": ("64:ff9b::2920:a07", "64:ff9b::a00:1"),
}


@pytest.mark.parametrize("kind", EMBEDDED)
def test_an_ipv4_address_in_an_ipv6_one_is_what_limits_count(kind: str) -> None:
    public, private = EMBEDDED[kind]
    assert limited_network(public) == "41.32.10.7"
    assert limited_network(private) == ""


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("41.32.10.7", "41.32.10.7"),
        ("2a00:1450:4006::1", "2a00:1450:4006::/64"),
        ("10.0.0.1", ""),
        ("fd00::1", ""),
        (None, ""),
    ],
)
def test_limited_network(address: str | None, network: str) -> None:
    assert limited_network(address) == network


@pytest.mark.parametrize("kind", EMBEDDED)
@pytest.mark.parametrize("block", ["41.32.10.7", "41.32.0.0/16", "0.0.0.0/0", "::/0"])
def test_a_block_of_ipv4_holds_for_it_in_ipv6(kind: str, block: str) -> None:
    assert canonical_network(block) in networks_of(EMBEDDED[kind][0])


@pytest.mark.parametrize(
    ("block", "held", "free"),
    [
        ("2002:2920:a07::1", "41.32.10.7", "41.32.10.8"),
        ("2002:2920:a07::/48", "64:ff9b::2920:a07", "2002:2920:a08::1"),
        ("2002:2920:a07::/64", "2002:2920:a07:5::9", "2002:2920:a08::1"),
        ("64:ff9b::41.32.10.7", "41.32.10.7", "64:ff9b::2920:a08"),
        (EMBEDDED["Teredo"][0], "41.32.10.7", EMBEDDED["Teredo"][1]),
        ("::ffff:41.32.0.0/112", "41.32.10.7", "41.33.10.7"),
        ("41.32.10.7/32", "2002:2920:a07::5", "2002:2920:a08::1"),
    ],
)
def test_a_block_in_ipv6_holds_for_the_ipv4_address_in_it(block: str, held: str, free: str) -> None:
    network = canonical_network(block)
    assert network in networks_of(held)
    assert network not in networks_of(free)


@pytest.mark.parametrize("block", ["64:ff9b::/96", "2002::/16", "2001::/32", "2002:2920::/32"])
def test_a_block_of_many_such_addresses_is_no_block_of_ipv4(block: str) -> None:
    assert canonical_network(block) == block
    assert block not in networks_of("41.32.10.7")
    held = [block in networks_of(public) for public, _ in EMBEDDED.values()]
    assert held.count(True) == 1


@pytest.mark.django_db
def test_one_client_has_one_limit_however_it_comes(
    valify: ScriptedServer, configure: Configure
) -> None:
    configure(IP_SEND_LIMITS=["1/1h"])
    first = send_otp("01012345678", ip_address="41.32.10.7")
    for public, _ in EMBEDDED.values():
        with pytest.raises(SendLimitReached):
            send_otp("01012345678", ip_address=public)
    other = send_otp("01012345678", ip_address="64:ff9b::2920:a08")
    assert (first.ip_address, other.ip_address) == ("41.32.10.7", "64:ff9b::2920:a08")


@pytest.mark.django_db
@pytest.mark.parametrize("value", ["41.32.10.7", "41.32.0.0/16", *dict(EMBEDDED.values())])
def test_a_send_block_holds_for_one_client_however_it_comes(
    valify: ScriptedServer, value: str
) -> None:
    SendBlock.objects.create(scope=SendBlock.Scope.IP_ADDRESS, value=value)
    for address in ("41.32.10.7", *dict(EMBEDDED.values())):
        with pytest.raises(SendForbidden):
            send_otp("01012345678", ip_address=address)
