"""CURVE keys as files: who may speak to a broker, and in which role.

``augfarm keys DIR`` makes::

    DIR/broker/    broker.key, broker.key_secret      the broker's own
                   clients/NAME.key                   the clients that it lets in, one file each
                   workers/NAME.key                   the workers, likewise
                   http.token                         what /status.json asks for
    DIR/client/    client.key_secret, broker.key      what a client needs
    DIR/worker/    worker.key_secret, broker.key      what a worker needs

Each service is given its own folder; where all are on one machine, DIR does for all. A key is added by
putting its public file into ``clients`` or ``workers``, and revoked by taking it out. Files are ZeroMQ
certificates (zmq.auth).
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import zmq
import zmq.auth

__all__ = ["ROLES", "BrokerKeys", "KeyFileError", "PeerKeys", "Role", "add_key", "make_keys"]

Role = Literal["client", "worker"]
TOKEN_FILE = "http.token"
ROLES: tuple[Role, ...] = get_args(Role)


class KeyFileError(ValueError):
    """A key file that is missing, unreadable, or readable by others. The text names it and what to do."""


@dataclass(frozen=True)
class PeerKeys:
    """What a client or a worker proves itself with. Secrets are not in its repr.

    Attributes:
        public: its public key, in Z85.
        secret: its secret key, in Z85.
        broker: the public key of the broker that it means, in Z85.
    """

    public: bytes
    secret: bytes = field(repr=False)
    broker: bytes

    @classmethod
    def load(cls, directory: str | os.PathLike[str], role: Role) -> PeerKeys:
        """The keys in ``DIR/ROLE``, or in `directory` itself where that is such a folder.

        Raises:
            KeyFileError: where a file is missing, is no key, or can be read by others.
        """
        folder = _folder(directory, role)
        public, secret = _read_secret(folder / f"{role}.key_secret")
        return cls(public, secret, _read_public(folder / "broker.key"))

    def apply(self, socket: zmq.Socket[bytes]) -> None:
        """Let this socket, not connected yet, prove itself with these keys."""
        socket.curve_publickey = self.public
        socket.curve_secretkey = self.secret
        socket.curve_serverkey = self.broker


class BrokerKeys:
    """The broker's own keys, and those that it lets in, looked up in their folders each time.

    Raises:
        KeyFileError: where a file is missing, is no key, or can be read by others.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._folder = _folder(directory, "broker")
        self.public, self.secret = _read_secret(self._folder / "broker.key_secret")
        self._stamps: dict[Role, tuple[object, frozenset[str]]] = {}

    def apply(self, socket: zmq.Socket[bytes], role: Role) -> None:
        """Let this socket, not bound yet, take only peers that prove a key of this role."""
        socket.curve_server = True
        socket.curve_publickey = self.public
        socket.curve_secretkey = self.secret
        socket.zap_domain = role.encode()

    def http_token(self) -> str:
        """What a request for the broker's report must carry.

        Raises:
            KeyFileError: where its file is missing or can be read by others.
        """
        file = self._folder / TOKEN_FILE
        try:
            token = file.read_text().strip()
        except OSError as error:
            raise KeyFileError(f"cannot read {file}: {error.strerror}") from None
        _check_private(file)
        if not token:
            raise KeyFileError(f"{file} is empty")
        return token

    def allowed(self, role: Role) -> frozenset[str]:
        """The public keys, in Z85, that may speak in this role now. Files that are no keys let nobody in."""
        folder = self._folder / f"{role}s"
        try:
            files = sorted(folder.glob("*.key"))
            # The size, too: a file that is seen empty and written a moment later may have the same time.
            stamp = [(file.name, (at := file.stat()).st_mtime_ns, at.st_size) for file in files]
        except OSError:
            return frozenset()
        known = self._stamps.get(role)
        if known is None or known[0] != stamp:
            found = set()
            for file in files:
                try:
                    found.add(_read_public(file).decode())
                except KeyFileError:
                    continue
            known = self._stamps[role] = (stamp, frozenset(found))
        return known[1]


def make_keys(directory: str | os.PathLike[str], *, if_missing: bool = False) -> list[Path]:
    """Make the keys of a farm: a broker, one client, one worker. Returns the folders that it filled.

    Args:
        directory: where; the folders may be there already, and empty.
        if_missing: make what is missing or belongs to another broker, and leave the rest alone; for a farm
            that does this at each start. A key that was revoked, but is still in its folder, stays revoked.

    Raises:
        KeyFileError: without `if_missing`, where there are keys already, which would lock out who has them.
    """
    root = Path(directory)
    broker = root / "broker"
    is_new = not (broker / "broker.key_secret").exists()
    if not is_new and not if_missing:
        raise KeyFileError(
            f"{broker} has keys already; remove it to begin anew, which locks out all who have some"
        )
    with _private():
        for role in ROLES:
            (broker / f"{role}s").mkdir(parents=True, exist_ok=True)
        if is_new:
            zmq.auth.create_certificates(broker, "broker")
        if is_new or not (broker / TOKEN_FILE).exists():
            (broker / TOKEN_FILE).write_text(secrets.token_urlsafe(32) + "\n")
    made = [broker] if is_new else []
    for role in ROLES:
        if not if_missing:
            made.append(add_key(root, role, role))
        elif not _belongs(root / role, broker):
            made.append(_mint(root, role, role))
    return made


def add_key(directory: str | os.PathLike[str], role: Role, name: str) -> Path:
    """Make one more key that the broker lets in. Returns the folder that its holder needs.

    Raises:
        KeyFileError: where the name is taken or is no file name, or there is no broker here.
    """
    root = Path(directory)
    public = root / "broker" / f"{role}s" / f"{name}.key"
    if not name or Path(name).name != name or name in (".", "..", "broker"):
        raise KeyFileError(f"expected a name that can be a file's, got {name!r}")
    if not (root / "broker" / "broker.key").exists():
        raise KeyFileError(f"{root} has no broker's keys: `augfarm keys {root}` makes them")
    folder = root / name
    if public.exists() or (folder.exists() and any(folder.iterdir())):
        raise KeyFileError(f"{name} has a key in {root} already")
    return _mint(root, role, name)


def _mint(root: Path, role: Role, name: str) -> Path:
    folder, broker = root / name, root / "broker"
    with _private():
        folder.mkdir(exist_ok=True)
        zmq.auth.create_certificates(folder, role)
        (broker / f"{role}s" / f"{name}.key").write_bytes((folder / f"{role}.key").read_bytes())
        # The last: a folder that has it is complete.
        (folder / "broker.key").write_bytes((broker / "broker.key").read_bytes())
    return folder


def _belongs(folder: Path, broker: Path) -> bool:
    """Whether the keys in the folder are complete, and this broker's."""
    known, own = folder / "broker.key", broker / "broker.key"
    return known.exists() and _read_public(known) == _read_public(own)


class _private:
    """Files that are made in here can be read by their owner alone."""

    def __enter__(self) -> None:
        self._before = os.umask(0o077)

    def __exit__(self, *exception: object) -> None:
        os.umask(self._before)


def _folder(directory: str | os.PathLike[str], name: str) -> Path:
    root = Path(directory)
    folder = root if (root / f"{name}.key_secret").exists() else root / name
    if not folder.is_dir():
        raise KeyFileError(f"no keys of a {name} in {root}: `augfarm keys {root}` makes them")
    return folder


def _read_secret(file: Path) -> tuple[bytes, bytes]:
    public, secret = _read(file)
    if secret is None:
        raise KeyFileError(f"{file} holds no secret key")
    _check_private(file)
    return public, secret


def _check_private(file: Path) -> None:
    mode = file.stat().st_mode
    if mode & 0o077:
        raise KeyFileError(f"{file} can be read by others (mode {mode & 0o777:03o}): chmod 600 {file}")


def _read_public(file: Path) -> bytes:
    return _read(file)[0]


def _read(file: Path) -> tuple[bytes, bytes | None]:
    try:
        public, secret = zmq.auth.load_certificate(file)
    except (OSError, ValueError) as error:
        raise KeyFileError(f"cannot read the key file {file}: {error}") from None
    if len(public) != 40 or (secret is not None and len(secret) != 40):
        raise KeyFileError(f"{file} is no key file: expected keys of 40 characters")
    return public, secret
