"""Files, folders and tarballs: what goes in, under which stream, with which bytes."""

from __future__ import annotations

import gzip
import io
import os
import resource
import subprocess
import sys
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from broker import topics
from broker.errors import StoreUnavailableError, UsageError
from broker.ingest import files, raw, tarballs
from broker.ingest.files import check_paths, ingest_files
from broker.ingest.raw import Bounds, Kind
from broker.record import Message


def sniff(data: bytes) -> Kind | None:
    return Kind("voevent", "application/xml") if data.startswith(b"<?xml") else None


def headers(message: Message) -> dict[str, str]:
    return {name: value.decode() for name, value in message.headers}


@pytest.fixture
def bounds(tmp_path: Path) -> Bounds:
    return Bounds(1000, tmp_path / "oversize")


def run(paths: list[Path], bounds: Bounds) -> tuple[list[Message], dict[str, int], tuple[str, ...]]:
    taken: list[Message] = []
    ingested = ingest_files(paths, taken.extend, sniff, bounds)
    return taken, ingested.records, ingested.skipped


def test_content_tells_the_stream_and_an_unreadable_packet_is_kept(tmp_path: Path, bounds: Bounds) -> None:
    folder = tmp_path / "in" / "deep"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_bytes(b"<?xml a")  # XML whatever its name says
    (folder / "b.avro").write_bytes(b"")  # empty, but named as a packet: must be accounted for
    (folder / "notes.md").write_bytes(b"not an alert")
    taken, records, skipped = run([tmp_path / "in"], bounds)
    assert [(message.topic, message.value) for message in taken] == [("raw.voevent", b"<?xml a"), ("raw.unknown", b"")]
    assert records == {"voevent": 1, "unknown": 1}
    assert skipped == (f"file:{folder / 'notes.md'}",)
    assert headers(taken[0])[topics.HEADER_ORIGIN] == f"file:{folder / 'a.txt'}"
    assert headers(taken[0])[topics.HEADER_CONTENT_TYPE] == "application/xml"
    assert headers(taken[0])[topics.HEADER_RECEIVED].endswith("+00:00")


def test_a_file_asked_for_by_name_is_never_passed_over(tmp_path: Path, bounds: Bounds) -> None:
    file = tmp_path / "notes.md"
    file.write_bytes(b"not an alert")
    taken, records, skipped = run([file], bounds)
    assert records == {"unknown": 1}
    assert taken[0].value == b"not an alert"
    assert skipped == ()


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tarball_members_are_files(tmp_path: Path, bounds: Bounds, mode: str) -> None:
    file = tmp_path / "month.bin"
    with tarfile.open(file, mode) as archive:  # type: ignore[call-overload]
        for number in range(700):
            info = tarfile.TarInfo(f"events/{number}.xml")
            content = f"<?xml {number}".encode()
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    taken, records, _ = run([file], bounds)
    assert records == {"voevent": 700}
    assert [message.value for message in taken] == [f"<?xml {number}".encode() for number in range(700)]
    assert headers(taken[-1])[topics.HEADER_ORIGIN] == f"file:{file}#events/699.xml"


def test_a_damaged_tarball_gives_what_can_be_read_and_is_itself_kept(tmp_path: Path) -> None:
    file = tmp_path / "month.tar.gz"
    with tarfile.open(file, "w:gz") as archive:
        for number in range(50):
            info = tarfile.TarInfo(f"{number}.xml")
            content = b"<?xml " + bytes(str(number), "ascii") * 5000
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    taken: list[Message] = []
    ingested = ingest_files([file], taken.extend, sniff, Bounds(1 << 20, tmp_path / "oversize"))
    assert 0 < ingested.records["voevent"] < 50
    assert taken[-1].topic == "raw.unknown"
    assert taken[-1].value == whole[: len(whole) // 2]
    assert ingested.unread == (f"file:{file}",)  # the verb ends with status 1


def test_oversize_bytes_are_put_aside_whole_and_named(tmp_path: Path, bounds: Bounds) -> None:
    file = tmp_path / "big.xml"
    content = b"<?xml" + bytes(range(256)) * 4000
    file.write_bytes(content)
    taken, _, _ = run([file], bounds)
    assert taken[0].value == content[:1000]
    reason = headers(taken[0])[topics.HEADER_OVERSIZE]
    assert reason.startswith(f"{len(content)} bytes, more than the 1000 a record may have")
    kept = Path(reason.rsplit(" ", 1)[1])
    assert kept.read_bytes() == content
    run([file], bounds)
    assert list(bounds.keep.iterdir()) == [kept]  # the same bytes again take no more room


def test_a_path_that_is_not_there(tmp_path: Path, bounds: Bounds) -> None:
    with pytest.raises(UsageError, match="no file or folder"):
        run([tmp_path / "nowhere"], bounds)


def test_links_to_folders_are_not_followed(tmp_path: Path, bounds: Bounds) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.xml").write_bytes(b"<?xml")
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    assert run([folder], bounds)[1] == {"voevent": 1}


def test_what_cannot_be_read_is_told_and_the_rest_goes_in(tmp_path: Path, bounds: Bounds) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.xml").write_bytes(b"<?xml a")
    (folder / "gone.xml").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "pipe.xml")
    (folder / "z.xml").write_bytes(b"<?xml z")
    taken: list[Message] = []
    ingested = ingest_files([folder, Path(os.devnull)], taken.extend, sniff, bounds)
    assert [message.value for message in taken] == [b"<?xml a", b"<?xml z"]
    assert ingested.unread == (f"file:{folder}/gone.xml", f"file:{folder}/pipe.xml", f"file:{os.devnull}")
    assert ingested.skipped == ingested.unread


def test_a_file_that_fails_under_way_is_told(tmp_path: Path, bounds: Bounds, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.xml", "b.xml", "c.xml"):
        (tmp_path / name).write_bytes(b"<?xml")
    is_tarball = files.is_tarball

    def vanish(file: Path) -> bool:
        if file.name == "b.xml":
            file.unlink()
        return is_tarball(file)

    monkeypatch.setattr(files, "is_tarball", vanish)
    ingested = ingest_files([tmp_path], lambda _messages: None, sniff, bounds)
    assert ingested.records == {"voevent": 2}
    assert ingested.unread == (f"file:{tmp_path}/b.xml",)


def test_a_compressed_file_cut_off_at_once_is_kept(tmp_path: Path, bounds: Bounds) -> None:
    file = tmp_path / "a.gz"
    file.write_bytes(gzip.compress(b"x" * 5000)[:20])
    assert run([file], bounds)[1] == {"unknown": 1}


def test_a_header_that_claims_gigabytes_is_not_read(tmp_path: Path) -> None:
    """In a process of its own, which may not have the memory that the header claims."""
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 1 << 30
    before = tarfile.TarInfo("first.json")
    before.size = 2
    with gzip.open(tmp_path / "bomb.tar.gz", "wb", compresslevel=1) as bomb:
        bomb.write(before.tobuf() + b"{}".ljust(512, b"\0") + header.tobuf(tarfile.GNU_FORMAT))
        for _ in range(1 << 10):
            bomb.write(bytes(1 << 20))
    code = """
import resource, sys
from pathlib import Path
from broker.ingest.files import ingest_files
from broker.ingest.raw import Bounds
folder = Path(sys.argv[1])
held = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (held + (512 << 20), held + (512 << 20)))
batches = []
bounds = Bounds(1 << 20, folder / "over")
print(ingest_files([folder / "bomb.tar.gz"], batches.extend, lambda _: None, bounds).records, len(batches))
"""
    told = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=100, check=False)
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines()[-1] == "{'unknown': 2} 2"  # the first member, and the tarball itself
    assert "a header of 1,073,741,824 bytes" in told.stdout + told.stderr


def test_a_tarball_cannot_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "bomb.tar.gz"
    with tarfile.open(file, "w:gz") as archive:
        for number in range(4):
            info = tarfile.TarInfo(f"{number}.xml")
            info.size = 5_000_000
            archive.addfile(info, io.BytesIO(b"<?xml %d" % number + bytes(info.size)))
    monkeypatch.setattr(files, "ARCHIVE_KEPT", 5_000_000)
    bounds = Bounds(1000, tmp_path / "oversize", keep_bytes=2_000_000)
    taken, _, _ = run([file], bounds)
    reasons = [headers(message)[topics.HEADER_OVERSIZE] for message in taken]
    assert ["the first 2000000 are in" in reason for reason in reasons] == [True, True, False, False]
    assert "the first 1000000 are in" in reasons[2]
    assert "none are put aside" in reasons[3]
    assert sorted(kept.stat().st_size for kept in bounds.keep.iterdir()) == [1_000_000, 2_000_000, 2_000_000]


def test_a_disk_that_is_full_is_no_damage_of_a_tarball(tmp_path: Path, bounds: Bounds) -> None:
    file = tmp_path / "month.tar"
    with tarfile.open(file, "w") as archive:
        info = tarfile.TarInfo("big.xml")
        info.size = 5000
        archive.addfile(info, io.BytesIO(b"<?xml" + bytes(5000)))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(StoreUnavailableError, match="make room"):
            run([file], bounds)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(bounds.keep.iterdir()) == []


def test_nothing_half_is_left_where_reading_fails(bounds: Bounds) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 1000:
                raise OSError("damaged")
            return super().read(size)

    with pytest.raises(OSError, match="damaged"):
        raw.read_bounded(Failing(bytes(5000)), "file:x", bounds)
    assert list(bounds.keep.iterdir()) == []


def ahead(kind: bytes, size: int) -> bytes:
    """Header of something that stands before a member, and its content."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT) + bytes(size)


def plain(name: str, content: bytes = b"<?xml") -> bytes:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    return info.tobuf(tarfile.GNU_FORMAT) + content.ljust(512, b"\0")


def sparse(pieces: int) -> bytes:
    """A sparse file of GNU's, whose map goes on over many blocks."""
    info = bytearray(tarfile.TarInfo("hole").tobuf(tarfile.GNU_FORMAT))
    info[156:157], info[482:483], info[148:156] = b"S", b"\1", b" " * 8
    info[148:156] = b"%06o\0 " % sum(info)
    block = (b"00000000001\0" * 2) * 21
    return bytes(info) + block.ljust(504, b"\0").ljust(512, b"\1") * pieces + block.ljust(512, b"\0")


HEAVY = {
    "long name": ahead(tarfile.GNUTYPE_LONGNAME, 64 << 20),
    "long link": ahead(tarfile.GNUTYPE_LONGLINK, 64 << 20),
    "attributes": ahead(tarfile.XHDTYPE, 64 << 20),
    "attributes of all": ahead(tarfile.XGLTYPE, 64 << 20),
    "many names": ahead(tarfile.GNUTYPE_LONGNAME, 1 << 18) * 200,
    "holes": sparse(60_000),
}


@pytest.mark.parametrize("at", ["first", "later"])
@pytest.mark.parametrize("kind", HEAVY)
def test_a_tarball_cannot_fill_the_memory(tmp_path: Path, bounds: Bounds, kind: str, at: str) -> None:
    whole = HEAVY[kind] + plain("b.xml") + bytes(1024)
    file = tmp_path / "bomb.tar.gz"
    file.write_bytes(gzip.compress(plain("a.xml") + whole if at == "later" else whole))
    (tmp_path / "c.xml").write_bytes(b"<?xml c")
    taken: list[Message] = []
    tracemalloc.start()
    try:
        ingested = ingest_files([tmp_path], taken.extend, sniff, Bounds(1 << 20, tmp_path / "oversize"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12 << 20
    assert ingested.unread == (f"file:{file}",)
    assert ingested.records == {"voevent": 2 if at == "later" else 1, "unknown": 1}
    assert taken[-1].value == b"<?xml c"  # the rest of the run goes on


def test_members_of_a_tarball_are_forgotten(tmp_path: Path, bounds: Bounds) -> None:
    file = tmp_path / "many.tar.gz"
    file.write_bytes(gzip.compress(plain("a.md", b"no alert") * 10_000 + bytes(1024)))
    tracemalloc.start()
    try:
        count = sum(1 for _ in tarballs.members(file))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (count, peak < 2 << 20) == (10_000, True)


def test_long_names_and_attributes_of_reasonable_length_are_read(tmp_path: Path, bounds: Bounds) -> None:
    name = "a" * 300 + ".xml"
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        file = tmp_path / "month.tar.gz"
        with tarfile.open(file, "w:gz", format=form, pax_headers={"comment": "x" * 1000}) as archive:
            for _ in range(3):
                info = tarfile.TarInfo(name)
                info.size = 5
                archive.addfile(info, io.BytesIO(b"<?xml"))
        taken, records, _ = run([file], bounds)
        assert records == {"voevent": 3}
        assert headers(taken[0])[topics.HEADER_ORIGIN] == f"file:{file}#{name}"


@pytest.mark.parametrize("damage", [b"%d path=a\n" % 10**30, b"9" * 5000 + b" path=a\n", b"30 GNU.sparse.major=x\n"])
def test_headers_that_say_nonsense_are_damage(tmp_path: Path, bounds: Bounds, damage: bytes) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, len(damage)
    file = tmp_path / "a.tar"
    file.write_bytes(
        plain("a.xml") + info.tobuf() + damage.ljust(-(-len(damage) // 512) * 512, b"\0") + plain("b.xml") + bytes(1024)
    )
    (tmp_path / "c.xml").write_bytes(b"<?xml c")
    taken, records, _ = run([tmp_path], bounds)
    assert records["voevent"] >= 2
    assert taken[-1].value == b"<?xml c"


def test_paths_are_seen_before_any_is_taken_in(tmp_path: Path):
    check_paths([tmp_path])
    with pytest.raises(UsageError, match="nosuch"):
        check_paths([tmp_path, tmp_path / "nosuch"])
