"""The addresses that a broker may listen at. Pure."""

from __future__ import annotations

import re

__all__ = ["check_bind", "is_local", "is_tcp", "readable"]

_LOOPBACK = re.compile(r"localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\]|\[::ffff:127\.\d+\.\d+\.\d+\]")


def check_bind(address: str) -> str:
    """The address, if a socket may be bound to it.

    Raises:
        ValueError: if it is neither ``tcp://HOST:PORT`` nor ``ipc://PATH``.
    """
    scheme, separator, rest = address.partition("://")
    if separator and scheme == "ipc" and rest:
        return address
    host, _, port = rest.rpartition(":")
    if separator and scheme == "tcp" and host and (port == "*" or (port.isdecimal() and int(port) < 65536)):
        return address
    raise ValueError(f"expected an address such as tcp://127.0.0.1:5555 or ipc:///run/farm, got {address!r}")


def is_tcp(address: str) -> bool:
    """Whether frames to and from this address cross a network, or could."""
    return address.startswith("tcp://")


def is_local(address: str) -> bool:
    """Whether only this machine can reach it: an address for :func:`check_bind`, or HOST:PORT."""
    if address.startswith("ipc://"):
        return True
    host = address.removeprefix("tcp://").rpartition(":")[0]
    return _LOOPBACK.fullmatch(host) is not None


def readable(endpoint: str) -> str:
    """The endpoint as people write it: libzmq shows IPv4 as mapped into IPv6."""
    return re.sub(r"\[::ffff:([\d.]+)\]", r"\1", endpoint)
