"""Members of tarballs, without what `tarfile` holds of them in memory: headers of any length, and all members there were."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

__all__ = ["DAMAGE", "is_tarball", "members"]

HEADERS_KEPT: Final = 1 << 20
"""Bytes of what stands before a member: long names, attributes. They are read whole, and can be packed a thousandfold."""

# What tarfile and the decompressors raise for bytes that are not as they should be.
DAMAGE: Final = (
    tarfile.TarError, EOFError, OSError, lzma.LZMAError, zlib.error, ValueError, ArithmeticError, LookupError, RecursionError,
)  # fmt: skip

_COMPRESSIONS: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.GzipFile,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
_AHEAD = frozenset({
    tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE,
})  # fmt: skip


class _RefusedError(tarfile.TarError):
    """A tarball that may be in order, and is too costly to read."""


class _Header(tarfile.TarInfo):
    """A member, told from its headers as long as these are of reasonable length."""

    _sparse_structs: tuple[list[tuple[int, int]], bool, int]

    # `tarfile` leaves these to be overridden, as it says in its source; the stubs do not have them.
    def _proc_member(self, archive: _Archive) -> tarfile.TarInfo:
        if self.type in _AHEAD:
            archive.ahead += self.size
            if self.type == tarfile.XGLTYPE:
                archive.everywhere += self.size
            if not 0 <= self.size <= HEADERS_KEPT:
                raise _RefusedError(f"a header of {self.size:,} bytes: names have up to {HEADERS_KEPT:,}")
            if max(archive.ahead, archive.everywhere) > HEADERS_KEPT:
                raise _RefusedError(f"more than {HEADERS_KEPT:,} bytes of headers before a member")
        elif self.type == tarfile.GNUTYPE_SPARSE and self._sparse_structs[1]:
            raise _RefusedError("a sparse file of many pieces: unpack it")
        found: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]
        return found

    def _proc_gnusparse_10(self, *_args: object) -> None:
        raise _RefusedError("a sparse file of many pieces: unpack it")


class _Archive(tarfile.TarFile):
    """A tarball that remembers no members.

    Parameters
    ----------
    ahead, everywhere
        Bytes of headers before the member at hand, and of those that hold for all members after them.
    """

    tarinfo = _Header
    members: list[tarfile.TarInfo]
    ahead = everywhere = 0

    def next(self) -> tarfile.TarInfo | None:
        self.ahead = 0
        found = super().next()
        self.members.clear()
        return found


def is_tarball(file: Path) -> bool:
    """Whether a file is one, compressed or not, whole or not.

    Raises
    ------
    OSError
        It cannot be read.
    """
    with file.open("rb") as stream:
        head = stream.read(262)
    if not (head.startswith(tuple(_COMPRESSIONS)) or head[257:] == b"ustar"):
        return False
    try:
        _Archive.open(file).close()
    except _RefusedError:
        return True
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        # Of what begins as a tarball only its headers can raise anything else.
        return not isinstance(error, tarfile.TarError | EOFError | OSError | lzma.LZMAError | zlib.error)
    return True


def members(file: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and content of every plain file in it, each to be read before the next.

    Raises
    ------
    Exception
        One of `DAMAGE`, behind all that could be read.
    """
    # Decompressed here because tarfile takes a compressed file that ends too early for one that ends.
    with _decompressed(file) as plain, _Archive.open(fileobj=plain, mode="r|") as archive:
        while (member := archive.next()) is not None:
            content = archive.extractfile(member) if member.isfile() else None
            if content is not None:
                yield member.name, content


@contextmanager
def _decompressed(file: Path) -> Iterator[IO[bytes]]:
    with file.open("rb") as stream:
        head = stream.read(6)
    opener = next((opener for magic, opener in _COMPRESSIONS.items() if head.startswith(magic)), None)
    with opener(file) if opener else file.open("rb") as plain:
        yield plain
