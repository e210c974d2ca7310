"""The archive: byte-exact, readable by any Avro reader, whole after any crash."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import fastavro
import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.errors import NotFoundError, StoreUnavailableError, UsageError
from broker.record import Record
from broker.store import ocf
from broker.store.archive import Address, Archive, repair


def records(count: int, *, first: int = 0, size: int = 50) -> list[Record]:
    rng = random.Random(first)
    return [
        Record("raw.ztf", i % 3, first + i, 1_780_000_000_000 + i, None, rng.randbytes(rng.randrange(size)), ())
        for i in range(count)
    ]


def files(root: Path) -> list[Path]:
    return sorted(root.rglob("*.avro"))


def marks(root: Path) -> list[Path]:
    return sorted(root.rglob("*.open"))


def packets(path: Path) -> list[bytes]:
    with path.open("rb") as file:
        return [row["packet"] for row in fastavro.reader(file)]


def test_packets_come_back_and_any_reader_reads_them(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path), "process 1/a", durable=False)
    first, second = records(5), [*records(1500, first=5), Record("raw.é", 7, 2**40, -5, b"k", b"", (("h", b"v"),))]
    addresses = archive.append(first) + archive.append(second)
    archive.close()
    assert [archive.read(address) for address in addresses] == [record.value for record in (*first, *second)]
    (path,) = files(tmp_path)
    assert path.relative_to(tmp_path).as_posix() == addresses[0].file
    assert path.name.startswith("process_1_a-")
    assert path.relative_to(tmp_path).parts[:3] == tuple(datetime.now(UTC).strftime("%Y/%m/%d").split("/"))
    with path.open("rb") as file:
        rows = list(fastavro.reader(file))
    assert [(row["topic"], row["partition"], row["offset"], row["packet"]) for row in rows] == [
        (record.topic, record.partition, record.offset, record.value) for record in (*first, *second)
    ]
    assert rows[3]["received"] == datetime.fromtimestamp(1_780_000_000.003, UTC)
    with path.open("rb") as file:
        assert [block.num_records for block in fastavro.block_reader(file)] == [5, 1501]


def test_large_packets(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path), "w", durable=False)
    big = [Record("raw.lvk", 0, i, 0, None, os.urandom(3_000_000 + i)) for i in range(3)]
    addresses = archive.append(big)
    archive.close()
    assert [archive.read(address) for address in addresses] == [record.value for record in big]


def test_files_are_rolled_by_size_and_never_shared(tmp_path: Path) -> None:
    one, other = (Archive(str(tmp_path), "w", roll_bytes=4000, durable=False) for _ in range(2))
    addresses = [archive.append(records(20, first=20 * i))[0] for i in range(12) for archive in (one, other)]
    assert len(marks(tmp_path)) == 2
    one.close()
    other.close()
    assert marks(tmp_path) == []
    assert not {address.file for address in addresses[::2]} & {address.file for address in addresses[1::2]}
    assert len(files(tmp_path)) >= 4
    assert all(path.stat().st_size < 4000 + 20 * 100 for path in files(tmp_path))


def test_nothing_to_append(tmp_path: Path) -> None:
    assert Archive(str(tmp_path), "w").append([]) == []
    assert list(tmp_path.iterdir()) == []


def test_an_address_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path), "w", durable=False)
    (address,) = archive.append(records(1, size=2))
    with pytest.raises(NotFoundError, match=r"no file 2026/none\.avro"):
        archive.read(Address("2026/none.avro", 0, 1))
    with pytest.raises(NotFoundError, match="ends before byte"):
        archive.read(address._replace(length=10_000))
    archive.close()


def test_a_place_that_cannot_be_written_passes(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StoreUnavailableError, match="cannot be written"):
        Archive(str(tmp_path / "taken"), "w").append(records(1))


def test_unknown_kind_of_store() -> None:
    with pytest.raises(UsageError, match="fsspec"):
        Archive("nonsense://bucket", "w")


@pytest.mark.parametrize("scheme", ["memory://archive-test", "file://{}", "{}"])
def test_on_any_store(tmp_path: Path, scheme: str) -> None:
    root = scheme.format(tmp_path)
    archive = Archive(root, "w")
    batches = [records(30), records(4, first=30)]
    addresses = [archive.append(batch) for batch in batches]
    archive.close()
    for batch, found in zip(batches, addresses, strict=True):
        assert [archive.read(address) for address in found] == [record.value for record in batch]
    fs, path = fsspec.core.url_to_fs(root)
    data = fs.cat_file(f"{path}/{addresses[1][0].file}")
    assert [row["offset"] for row in fastavro.reader(io.BytesIO(data))][-4:] == [30, 31, 32, 33]
    with pytest.raises(NotFoundError):
        archive.read(Address("none.avro", 0, 1))
    with pytest.raises(NotFoundError):
        archive.read(addresses[1][3]._replace(length=100_000))


def test_a_file_cut_at_any_byte_is_mended_to_its_last_whole_block(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path / "made"), "w", durable=False)
    ends = []
    made: list[Record] = []
    for i in range(3):
        batch = records(3, first=3 * i, size=30)
        archive.append(batch)
        made += batch
        ends.append(files(tmp_path / "made")[0].stat().st_size)
    archive.close()
    (source,) = files(tmp_path / "made")
    whole = source.read_bytes()
    header = len(ocf.header(b"")) + ocf.SYNC_SIZE
    for size in range(len(whole) + 1):
        folder = tmp_path / "cut"
        folder.mkdir(exist_ok=True)
        path = folder / "w.avro"
        path.write_bytes(whole[:size])
        (folder / "w.avro.open").touch()
        cut = repair(folder)
        blocks = sum(end <= size for end in ends)
        kept = 0 if size < header else [header, *ends][blocks]
        assert cut == ({path: size - kept} if size > kept else {})
        assert marks(folder) == []
        if kept:
            assert packets(path) == [record.value for record in made[: 3 * blocks]]
            path.unlink()
        else:
            assert not path.exists()


@given(st.binary(min_size=1, max_size=200))
@settings(max_examples=200, deadline=None)
def test_rubbish_at_the_end_is_cut_off(tail: bytes) -> None:
    sync = bytes(range(16))
    block = ocf.block(records(3))
    good = b"".join([ocf.header(sync), *block.parts, sync])
    assert ocf.whole(io.BytesIO(good + tail), len(good) + len(tail)) == len(good)


@given(st.integers(-(2**63), 2**63 - 1))
def test_numbers_are_written_as_avro_has_them(value: int) -> None:
    expected = io.BytesIO()
    fastavro.schemaless_writer(expected, {"type": "long"}, value)
    assert ocf.varint(value) == expected.getvalue()


def test_files_of_living_writers_and_unmarked_ones_are_left_alone(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path), "w", durable=False)
    archive.append(records(2))
    old = tmp_path / "old.avro"
    old.write_bytes(b"not even a header")
    assert repair(tmp_path) == {}
    archive.append(records(2, first=2))
    archive.close()
    (path,) = set(files(tmp_path)) - {old}
    assert len(packets(path)) == 4
    assert old.exists()


WRITER = """
import sys
from broker.record import Record
from broker.store.archive import Archive
archive = Archive(sys.argv[1], "w", durable=False)
for batch in range(10**6):
    values = [bytes([(batch + i) % 256]) * 20000 for i in range(30)]
    found = archive.append([Record("raw.x", 0, i, 0, None, value) for i, value in enumerate(values)])
    print(batch, *found[-1], flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_what_it_promised(tmp_path: Path) -> None:
    for attempt in range(6):
        root = tmp_path / str(attempt)
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(root)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(5 + 7 * attempt)]
        process.send_signal(signal.SIGKILL)
        lines += process.communicate()[0].splitlines(keepends=True)
        archive = Archive(f"file://{root}", "w")
        archive.repair()
        promised = [line.split() for line in lines if line.endswith("\n")]
        for batch, file, offset, length in promised:
            assert archive.read(Address(file, int(offset), int(length))) == bytes([(int(batch) + 29) % 256]) * 20000
        (path,) = files(root)
        found = packets(path)
        assert len(found) % 30 == 0
        assert len(found) >= 30 * len(promised) > 0
        assert marks(root) == []


def test_a_full_disk_leaves_nothing_of_the_batch(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk: the kernel refuses the rest of the write in the same way."""
    code = """
import resource, signal, sys
from pathlib import Path
from broker.errors import StoreUnavailableError
from broker.record import Record
from broker.store.archive import Archive
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
archive = Archive(sys.argv[1], "w")
batch = [Record("raw.x", 0, i, 0, None, bytes(10_000)) for i in range(6)]
archive.append(batch)
try:
    archive.append(batch)
except StoreUnavailableError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
archive.append(batch)
archive.close()
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "cannot be written" in done.stdout
    assert [len(packets(path)) for path in files(tmp_path)] == [6, 6]
    assert marks(tmp_path) == []
