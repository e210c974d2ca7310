"""What the process that sends messages may do: Python asks here before it connects, opens a file or starts a program."""

from __future__ import annotations

import mimetypes
import os
import sys
import sysconfig
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any, Final, NoReturn

from broker.deliver.addresses import IPNetwork, reachable, refusal

__all__ = ["Guard", "RefusedError"]

_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
_PROGRAMS: Final = frozenset(
    {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.fork", "os.forkpty", "pty.spawn"}
)
_TALKS: Final = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})


class RefusedError(OSError):
    """Something that may not be done; an `OSError`, which libraries expect of connections and files."""


class Guard:
    """An audit hook (PEP 578): there is no way to take one back, so it is for a process that ends.

    Parameters
    ----------
    allowed
        Networks besides the public ones that may be connected to.
    folder
        The one whose files may be read and written; beside it, Python's own may be read.
    refused
        Takes up what was refused for good.
    modules
        Folders of what is loaded late.
    """

    def __init__(self, allowed: Sequence[IPNetwork], folder: str, refused: list[str], modules: Sequence[str] = ()) -> None:
        self._allowed, self._refused = allowed, refused
        places = {folder, sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), *modules}
        places |= {"/usr/share", "/usr/lib/ssl", "/etc/ssl"}
        self._readable = tuple(os.path.realpath(each) + os.sep for each in places)
        self._writable = os.path.realpath(folder) + os.sep
        authorities = {os.environ.get(name) for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")}
        self._single = {os.devnull, "/dev/urandom", "/etc/localtime", *mimetypes.knownfiles, *authorities}

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        """Let it happen, or raise."""
        if event in _TALKS:
            if not (event == "socket.sendmsg" and args[1] is None):  # of a connection that was asked for before
                self._connects(args[1])
        elif event == "open":
            self._opens(args[0], args[2])
        elif event in _PROGRAMS:
            self._no("messages start no programs")

    def _connects(self, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) and address else None
        try:
            where = ip_address(host) if isinstance(host, str) else None
        except ValueError:
            where = None
        if where is None:
            self._no("messages connect to addresses of the internet, and to nothing else")
        if not reachable(where, self._allowed):
            self._no(refusal(str(where), [where]))

    def _opens(self, path: Any, flags: Any) -> None:
        if not isinstance(path, str | bytes):
            return  # open already
        named = os.fsdecode(path)
        real = os.path.realpath(named)
        if isinstance(flags, int) and flags & _WRITES:
            if not real.startswith(self._writable) and real != os.devnull:
                message = f"{named} may not be written"
                raise RefusedError(message)
        elif not real.startswith(self._readable) and not {named, real} & self._single:
            message = f"{named} may not be read"
            raise RefusedError(message)

    def _no(self, why: str) -> NoReturn:
        self._refused.append(why)
        raise RefusedError(why)
