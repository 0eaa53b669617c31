"""The addresses that a provider may have, and all the kinds that lead elsewhere."""

import pytest

from functions.vault.oauth.addresses import is_allowed

PUBLIC = ["8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "2a00:1450::200e"]
LOOPBACK = ["127.0.0.1", "127.255.255.254", "::1"]
OTHERS = {
    "this host": ["0.0.0.0", "0.1.2.3", "::"],  # noqa: S104 - to be refused
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1"],
    "link-local": ["169.254.169.254", "169.254.170.2", "fe80::1", "fe80::1%eth0"],
    "shared (CGNAT)": ["100.64.0.1", "100.127.255.255"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"],
    "reserved": ["240.0.0.1", "255.255.255.255", "100::1", "5f00::1", "4000::1"],
    "for protocols, benchmarks, examples": ["192.0.0.9", "198.18.0.1", "192.0.2.1", "2001:db8::1", "3fff::1"],
    "relays": ["192.88.99.1"],
    "unique local": ["fc00::1", "fd00:ec2::254"],
    "site-local": ["fec0::1"],
    "IPv4 in IPv6": ["::ffff:8.8.8.8", "::ffff:10.0.0.1", "::8.8.8.8", "::ffff:0:8.8.8.8"],
    "NAT64": ["64:ff9b::808:808", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1"],
    "6to4 and Teredo": ["2002:7f00:1::", "2002:808:808::1", "2001:0:1::1"],
    "none": ["", "localhost", "127.1", "8.8.8", "1.2.3.4.5", "::1::", "0x7f000001"],
}


@pytest.mark.parametrize("address", PUBLIC)
@pytest.mark.parametrize("loopback", [False, True])
def test_addresses_of_the_public_internet_are_allowed(address: str, *, loopback: bool) -> None:
    """On one machine and in a deployment."""
    assert is_allowed(address, loopback=loopback)


@pytest.mark.parametrize("address", LOOPBACK)
def test_loopback_is_allowed_only_on_one_machine(address: str) -> None:
    """In a deployment, loopback is Lambda's own."""
    assert is_allowed(address, loopback=True)
    assert not is_allowed(address, loopback=False)


@pytest.mark.parametrize("address", [address for kind in OTHERS.values() for address in kind])
@pytest.mark.parametrize("loopback", [False, True])
def test_no_other_address_is_allowed(address: str, *, loopback: bool) -> None:
    """Not even one that contains a public address: whatever extracts that would extract any."""
    assert not is_allowed(address, loopback=loopback)
