"""Who is let in: answers what libzmq asks at each handshake (ZAP, RFC 27), in a thread of zmq.auth's."""

from __future__ import annotations

import logging

import zmq
from zmq.auth.thread import ThreadAuthenticator

from augfarm.protocol.keys import ROLES, BrokerKeys, Role

__all__ = ["Gate"]

#: Refused keys that are remembered, so that each is logged once: who has none can make as many as it likes.
MOST_TOLD = 100

log = logging.getLogger("augfarm.broker")


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
        self._told: set[str] = set()

    def callback(self, domain: str, key: bytes) -> bool:
        """Whether this key, in Z85, may speak at this port."""
        public = key.decode("ascii")
        admitted = domain == self._role and public in self._keys.allowed(self._role)
        if admitted:
            self._told.discard(public)
        elif public not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(public)
            others = [role for role in ROLES if role != self._role and public in self._keys.allowed(role)]
            what = f"it is a {others[0]}'s" if others else "no folder has it"
            log.warning("the key %s was refused at the port for %ss: %s", public, self._role, what)
        return admitted
