"""Who is let in: answers what libzmq asks at each handshake (ZAP, RFC 27), in a thread of zmq.auth's."""

from __future__ import annotations

import zmq
from zmq.auth.thread import ThreadAuthenticator

from augfarm.protocol.keys import ROLES, BrokerKeys, Role

__all__ = ["Gate"]


class Gate:
    """Lets in whose public key is in the folder of its role at that moment. Make it before sockets are bound.

    Call :meth:`close` before the context ends.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], keys: BrokerKeys) -> None:
        self._authenticator = ThreadAuthenticator(context)
        self._authenticator.start()
        for role in ROLES:
            self._authenticator.configure_curve_callback(role, _Folder(keys, role))

    def close(self) -> None:
        """Let nobody in any more."""
        self._authenticator.stop()


class _Folder:
    """zmq.auth's credentials provider."""

    def __init__(self, keys: BrokerKeys, role: Role) -> None:
        self._keys = keys
        self._role: Role = role

    def callback(self, domain: str, key: bytes) -> bool:
        """Whether this key, in Z85, may speak at this port."""
        return domain == self._role and key.decode("ascii") in self._keys.allowed(self._role)
