"""Which IP addresses a webhook may be sent to: those of the public Internet, and what a setting allows beside.

The networks are those of the IANA special-purpose address registries
(https://www.iana.org/assignments/iana-ipv4-special-registry), not what ``ipaddress`` of some release says of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Network = IPv4Network | IPv6Network

# Private, shared (CGNAT), loopback, link-local (with the metadata services of clouds), documentation, benchmarks,
# multicast, reserved; and 168.63.129.16, under which Azure serves its own machines.
REFUSED_V4: Final = tuple(
    ip_network(written)
    for written in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32"),
    )
)
# Of IPv6 only this is public, without what is for protocols (Teredo is there), documentation and 6to4.
PUBLIC_V6: Final = ip_network("2000::/3")
REFUSED_V6: Final = tuple(ip_network(written) for written in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))


def read_address(written: str) -> IPv4Address | IPv6Address | None:
    """An address as a resolver gives it, without the zone of a link; one of IPv4 in the form of IPv6 is that of IPv4.

    None for what is no address.
    """
    try:
        address = ip_address(written.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def is_within(written: str, networks: Sequence[Network]) -> bool:
    """Whether an address is in one of the NETWORKS."""
    address = read_address(written)
    return address is not None and any(address in network for network in networks)


def is_public(written: str) -> bool:
    """Whether an address is one of the public Internet."""
    address = read_address(written)
    if isinstance(address, IPv4Address):
        return not any(address in network for network in REFUSED_V4)
    if address is None or address not in PUBLIC_V6:
        return False
    return not any(address in network for network in REFUSED_V6)
