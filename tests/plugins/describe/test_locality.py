"""Images stay in the private network: what counts as local, by address and by name."""

from __future__ import annotations

import pytest

from sightd.plugins.describe.locality import is_local_address, is_local_host


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.9",
        "169.254.3.4",
        "::1",
        "fd00::1",
        "fe80::1%eth0",
        "::ffff:192.168.1.9",
    ],
)
def test_loopback_private_and_link_local_addresses_are_local(address: str) -> None:
    assert is_local_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "172.32.0.1",
        "192.169.0.1",
        "100.64.0.1",
        "0.0.0.0",
        "192.0.2.1",
        "2001:db8::1",
        "::ffff:8.8.8.8",
        "::",
        "",
        "localhost",
        "127.1",
    ],
)
def test_all_other_addresses_are_not(address: str) -> None:
    assert not is_local_address(address)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "ollama", "gpu.lan", "gpu.local", "::1", "192.168.1.9"])
def test_names_of_private_networks_are_local(host: str) -> None:
    assert is_local_host(host)


@pytest.mark.parametrize("host", ["api.openai.com", "local.example.com", "8.8.8.8", "127.1", "2001:db8::1"])
def test_names_of_the_internet_are_not(host: str) -> None:
    assert not is_local_host(host)
