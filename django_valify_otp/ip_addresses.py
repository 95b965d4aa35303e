"""Read the addresses of clients as sockets and proxies write them."""

import ipaddress
import re
from functools import lru_cache

# Of ::ffff:0:0/96, the IPv6 addresses that stand for IPv4 addresses.
MAPPED_PREFIX_LENGTH = 96
# Of the network of one client in 2002::/16.
SIX_TO_FOUR_PREFIX_LENGTH = 48
# The network in which translators put clients that have only IPv4.
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# One request asks of its address several times; carriers put thousands of people behind one.
REMEMBERED_ADDRESSES = 1024


@lru_cache(maxsize=REMEMBERED_ADDRESSES)
def limited_network(address: str | None) -> str:
    """Return what limits take for one client: an IPv4 address, an IPv6 /64, ``""`` if private."""
    if not address:
        return ""
    parsed = ipaddress.ip_address(address)
    judged = _ipv4_in(parsed) or parsed
    if judged.is_private:
        return ""
    if judged.version == 4:
        return str(judged)
    return str(ipaddress.ip_network((judged, 64), strict=False))


def networks_of(address: str | None) -> list[str]:
    """Return the address and every network around it, as ``canonical_network`` spells them."""
    if not address:
        return []
    parsed = ipaddress.ip_address(address)
    ipv4 = _ipv4_in(parsed)
    return [*_networks_of(parsed), *(_networks_of(ipv4) if ipv4 else [])]


@lru_cache(maxsize=REMEMBERED_ADDRESSES)
def spellings_of(address: str) -> tuple[str, ...]:
    """Return the address, and the client's IPv4 address in it if there is one."""
    ipv4 = _ipv4_in(ipaddress.ip_address(address))
    return (address, str(ipv4)) if ipv4 else (address,)


def canonical_network(text: str) -> str:
    """Return an address or network in its one spelling. Raise ``ValueError`` if it is neither."""
    address = parse(text)
    if address is not None and "/" not in text:
        return str(_ipv4_in(ipaddress.ip_address(address)) or address)
    network = ipaddress.ip_network(text.strip(), strict=False)
    if isinstance(network, ipaddress.IPv6Network):
        network = _ipv4_network_in(network) or network
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def surrounding_network(address: str) -> str:
    """Return the network that a client is likely to have more addresses of: a /24, or a /64."""
    parsed = ipaddress.ip_address(address)
    judged = _ipv4_in(parsed) or parsed
    length = 24 if judged.version == 4 else 64
    return str(ipaddress.ip_network((judged, length), strict=False))


@lru_cache(maxsize=REMEMBERED_ADDRESSES)
def parse(text: str | None) -> str | None:
    """Return the address without port, brackets, zone and IPv4 mapping; ``None`` if it is bad."""
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::\d+)?", (text or "").strip())
    host = bracketed[1] if bracketed else (text or "").strip()
    if host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _networks_of(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> list[str]:
    network = ipaddress.ip_network(address)
    supernets = [network.supernet(new_prefix=length) for length in range(network.prefixlen)]
    return [str(address), *map(str, supernets)]


def _ipv4_in(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | None:
    """Return the client's IPv4 address in a 6to4, Teredo or NAT64 address, or ``None``."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in NAT64:
        return ipaddress.IPv4Address(address.packed[-4:])
    _server, client = address.teredo or (None, None)
    return address.sixtofour or client


def _ipv4_network_in(network: ipaddress.IPv6Network) -> ipaddress.IPv4Network | None:
    """Return the IPv4 network of the same clients, or ``None`` if no single one holds them all."""
    first, length = network.network_address, network.prefixlen
    if first.ipv4_mapped and length >= MAPPED_PREFIX_LENGTH:
        return ipaddress.IPv4Network((first.ipv4_mapped, length - MAPPED_PREFIX_LENGTH))
    is_single = length >= (SIX_TO_FOUR_PREFIX_LENGTH if first.sixtofour else network.max_prefixlen)
    ipv4 = _ipv4_in(first)
    return ipaddress.IPv4Network(ipv4) if ipv4 and is_single else None
