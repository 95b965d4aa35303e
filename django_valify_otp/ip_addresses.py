"""Client addresses, as sockets and proxies write them."""

import ipaddress
import re

# Of ::ffff:0:0/96, in which IPv6 has the addresses of IPv4.
MAPPED_PREFIX_LENGTH = 96


def limited_network(address: str | None) -> str:
    """What counts as one client: the address, an IPv6 one's /64; ``""`` for a private one."""
    if not address:
        return ""
    parsed = ipaddress.ip_address(address)
    if parsed.is_private:
        return ""
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def networks_of(address: str | None) -> list[str]:
    """Every network that holds the address, itself included, as ``canonical_network`` has them."""
    if not address:
        return []
    network = ipaddress.ip_network(address)
    supernets = [network.supernet(new_prefix=length) for length in range(network.prefixlen)]
    return [address, *map(str, supernets)]


def canonical_network(text: str) -> str:
    """An address or network in its one spelling. Raises ``ValueError`` if it is neither."""
    address = parse(text)
    if address is not None and "/" not in text:
        return address
    network = ipaddress.ip_network(text.strip(), strict=False)
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is not None and network.prefixlen >= MAPPED_PREFIX_LENGTH:
        length = network.prefixlen - MAPPED_PREFIX_LENGTH
        network = ipaddress.ip_network((mapped, length), strict=False)
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def parse(text: str | None) -> str | None:
    """The address without port, brackets, zone or IPv4 mapping; ``None`` if it is none."""
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
