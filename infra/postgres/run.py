#!/usr/bin/env python3
"""Start, stop and look at one private PostgreSQL server on this machine, from the binaries that are installed.

It listens on 127.0.0.1 only and trusts whoever connects from there as user ``nuncius``. All its files are below ``--dir``.
PostgreSQL refuses to run as root: for root it runs as user ``postgres``, or ``nobody``. Standard library only.

    python infra/postgres/run.py start --dir infra/postgres/run --port 5432
    python infra/postgres/run.py stop --dir infra/postgres/run
"""

from __future__ import annotations

import argparse
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


class StartError(Exception):
    """What went wrong and what to do about it."""


def binaries() -> Path:
    """Folder of ``initdb`` and ``pg_ctl``: Debian's newest, else that on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: float(path.parts[-3]))
    on_path = shutil.which("pg_ctl")
    if found:
        return found[-1].parent
    if on_path is not None:
        return Path(on_path).resolve().parent
    raise StartError("PostgreSQL is not installed: install it (Debian: apt-get install postgresql)")


def owner() -> pwd.struct_passwd | None:
    """User to run it as when we are root; ``None`` for ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise StartError("PostgreSQL does not run as root, and there is no user postgres or nobody: run as another user")


def run(command: list[str], user: pwd.struct_passwd | None, log: Path) -> None:
    """Run to its end, as that user."""
    who = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    # The server outlives pg_ctl and would hold a pipe open: output goes to a file.
    with log.open("ab") as out:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/", check=False, **who)
    if done.returncode:
        lines = log.read_text(errors="replace").splitlines()[-15:]
        raise StartError(f"{Path(command[0]).name} failed; the end of {log}:\n" + "\n".join(lines))


def start(folder: Path, port: int) -> None:
    """Set the cluster up, once, and start it."""
    user, tools, data = owner(), binaries(), folder / "data"
    folder.mkdir(parents=True, exist_ok=True)
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
        closed = next((parent for parent in folder.parents if not parent.stat().st_mode & 0o001), None)
        if closed is not None:
            raise StartError(f"user {user.pw_name}, which PostgreSQL runs as, cannot enter {closed}: name another --dir")
    log = folder / "server.log"
    if not (data / "PG_VERSION").is_file():
        setup = ["-U", "nuncius", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        run([str(tools / "initdb"), "-D", str(data), *setup], user, log)
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories='' -c max_connections=200"
    run([str(tools / "pg_ctl"), "-D", str(data), "-w", "-t", "60", "-o", options, "start"], user, log)
    print(f"PostgreSQL answers on postgresql://nuncius@127.0.0.1:{port}/postgres (files in {folder})")


def main() -> int:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["start", "stop", "status"])
    parser.add_argument("--dir", type=Path, default=HERE / "run", help="where it keeps its files (default: %(default)s)")
    parser.add_argument("--port", type=int, default=5432, help="port on 127.0.0.1 (default: %(default)s)")
    given = parser.parse_args()
    folder = given.dir.resolve()
    try:
        if given.verb == "start":
            start(folder, given.port)
            return 0
        control = [str(binaries() / "pg_ctl"), "-D", str(folder / "data")]
        verb = ["-m", "fast", "-w", "stop"] if given.verb == "stop" else ["status"]
        run([*control, *verb], owner(), folder / "server.log")
    except StartError as failure:
        print(failure, file=sys.stderr)
        return 1
    print(f"PostgreSQL of {folder} " + ("is stopped" if given.verb == "stop" else "runs"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
