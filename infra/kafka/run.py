#!/usr/bin/env python3
"""Start, stop and look at one genuine Apache Kafka broker on this machine.

It is resolved from Maven Central (``pom.xml``) and runs on the machine's Java 17 or later, in KRaft combined mode, bound to
127.0.0.1. Everything it writes is below ``--dir``. Standard library only.

With ``--sasl`` it asks everybody for a password (SCRAM-SHA-512) and lets nobody do what no access control list allows but its
super user ``nuncius``, whose password is made and kept in ``client.properties`` of the folder, in the form of librdkafka
(``kcat -F``). The choice is made with the first start of a folder.

    python infra/kafka/run.py start --dir infra/kafka/run --port 9092
    python infra/kafka/run.py start --dir infra/kafka/sasl --port 9094 --sasl
    python infra/kafka/run.py status --dir infra/kafka/run
    python infra/kafka/run.py stop --dir infra/kafka/run
"""

from __future__ import annotations

import argparse
import base64
import os
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import uuid
from pathlib import Path

HERE = Path(__file__).resolve().parent
ARTIFACTS = 45  # about how many files Maven fetches the first time, for the progress line

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=CLIENTS://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENTS://127.0.0.1:{port}
inter.broker.listener.name=CLIENTS
controller.listener.names=CONTROLLER
listener.security.protocol.map=CLIENTS:{protocol},CONTROLLER:{protocol}
log.dirs={logs}
num.partitions=1
auto.create.topics.enable=false
message.max.bytes=8388608
replica.fetch.max.bytes=8388608
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.cleaner.dedupe.buffer.size=16777216
"""

SUPER_USER = "nuncius"
# The controllers' listener has a password of its own, so that nobody on this machine changes the metadata behind the
# authorizer's back. It is PLAIN, since a controller knows SCRAM credentials only once it has read the metadata.
SASL_PROPERTIES = """\
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
sasl.mechanism.controller.protocol=PLAIN
listener.name.controller.sasl.enabled.mechanisms=PLAIN
listener.name.clients.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \
username="{user}" password="{password}";
listener.name.controller.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
username="controller" password="{controller_password}" user_controller="{controller_password}";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:{user};User:controller
allow.everyone.if.no.acl.found=false
"""
CLIENT_PROPERTIES = """\
bootstrap.servers=127.0.0.1:{port}
security.protocol=SASL_PLAINTEXT
sasl.mechanism=SCRAM-SHA-512
sasl.username={user}
sasl.password={password}
"""


class StartError(Exception):
    """What went wrong and what to do about it."""


def class_path() -> str:
    """Jars of the broker, fetched by Maven unless they are here already."""
    cache = HERE / "target" / "classpath.txt"
    pom = HERE / "pom.xml"
    if cache.is_file() and cache.stat().st_mtime > pom.stat().st_mtime:
        known = cache.read_text()
        if all(Path(jar).is_file() for jar in known.split(os.pathsep)):
            return known
    if shutil.which("mvn") is None:
        raise StartError("Maven is not installed: install it (Debian: apt-get install maven) or use a Kafka of your own")
    cache.parent.mkdir(exist_ok=True)
    fresh = cache.with_name(f"classpath-{os.getpid()}.txt")
    command = ["mvn", "-B", "-f", str(pom), "dependency:build-classpath", f"-Dmdep.outputFile={fresh}"]
    print("resolving Apache Kafka from Maven Central (about 80 MB the first time)", file=sys.stderr)
    fetched, tail = 0, []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as maven:
        for line in maven.stdout or ():
            tail = [*tail[-20:], line]
            if "Downloaded from" in line and ".jar" in line:
                fetched += 1
                print(f"\r  {fetched} of about {ARTIFACTS} files", end="", file=sys.stderr, flush=True)
    if fetched:
        print(file=sys.stderr)
    if maven.returncode:
        raise StartError("Maven could not resolve Apache Kafka:\n" + "".join(tail))
    fresh.replace(cache)
    return cache.read_text()


def java() -> str:
    """The Java to run the broker with."""
    home = os.environ.get("JAVA_HOME")
    found = str(Path(home, "bin", "java")) if home else shutil.which("java")
    if found is None or not Path(found).is_file():
        raise StartError("Java is not installed: install Java 17 or later (Debian: apt-get install openjdk-17-jre-headless)")
    return found


def free_port() -> int:
    """A TCP port of 127.0.0.1 nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    """Whether a Kafka broker answers there: it is asked for the API versions it speaks."""
    request = struct.pack(">hhih", 18, 0, 1, -1)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            reply = connection.recv(10)
    except OSError:
        return False
    return len(reply) == 10 and struct.unpack(">ih", reply[4:]) == (1, 0)


def configured_port(folder: Path) -> int | None:
    """Port of the broker set up in a folder."""
    properties = folder / "server.properties"
    if not properties.is_file():
        return None
    lines = dict(line.split("=", 1) for line in properties.read_text().splitlines() if "=" in line)
    return int(lines["advertised.listeners"].rsplit(":", 1)[1])


def running(folder: Path) -> int | None:
    """Process id of the folder's broker, if it lives and is ours (a process id can be given to a stranger after a reboot)."""
    try:
        pid = int((folder / "pid").read_text())
        os.kill(pid, 0)
        command = Path(f"/proc/{pid}/cmdline")
        ours = not Path("/proc/self").exists() or str(folder / "server.properties") in command.read_bytes().decode()
    except (OSError, ValueError):
        return None
    return pid if ours else None


def launch(folder: Path, classes: str) -> subprocess.Popen[bytes]:
    """Start the broker detached from the terminal."""
    command = [java(), "-Xmx1g", "-Xms256m", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-Djava.awt.headless=true"]
    command += [f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}", "-cp", classes]
    command += ["kafka.Kafka", str(folder / "server.properties")]
    with (folder / "server.log").open("ab") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


def prepare(folder: Path, port: int, classes: str, *, sasl: bool) -> None:
    """Write the settings and format the storage, once."""
    properties = folder / "server.properties"
    known = configured_port(folder)
    if known is not None and (folder / "data").exists():
        if known != port:
            raise StartError(f"{folder} holds a broker on port {known}: start that, or name another --dir")
        if sasl != ("SASL_PLAINTEXT" in properties.read_text()):
            raise StartError(f"{folder} holds a broker {'without' if sasl else 'with'} passwords: name another --dir")
        if (folder / "data" / "meta.properties").is_file():
            return
    folder.mkdir(parents=True, exist_ok=True)
    names = {"port": port, "controller": free_port(), "logs": folder / "data"}
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A", 1)
    given = ["format", "-t", cluster, "-c", str(properties)]
    if sasl:
        words = {"user": SUPER_USER, "password": secrets.token_urlsafe(32)}
        text = PROPERTIES.format(**names, protocol="SASL_PLAINTEXT")
        private(properties, text + SASL_PROPERTIES.format(**words, controller_password=secrets.token_urlsafe(32)))
        private(folder / "client.properties", CLIENT_PROPERTIES.format(**words, port=port))
        given += ["--add-scram", "SCRAM-SHA-512=[name={user},password={password}]".format(**words)]
    else:
        properties.write_text(PROPERTIES.format(**names, protocol="PLAINTEXT"))
    arguments = folder / "format.arguments"  # a file, since everybody on the machine can read a command line
    private(arguments, "\n".join(given) + "\n")
    command = [java(), "-Xmx256m", "-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}"]
    command += ["-cp", classes, "kafka.tools.StorageTool", f"@{arguments}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    arguments.unlink()
    if done.returncode:
        raise StartError(f"cannot format {folder / 'data'}:\n{done.stdout}{done.stderr}")


def private(file: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(text)


def start(folder: Path, port: int, patience: float, *, sasl: bool) -> int:
    """Start the broker and wait until it answers."""
    if running(folder) is not None:
        print(f"Kafka of {folder} is running already on 127.0.0.1:{configured_port(folder)}")
        return 0
    if answers(port):
        raise StartError(f"port {port} is taken by another Kafka broker: stop it or choose another --port")
    classes = class_path()
    prepare(folder, port, classes, sasl=sasl)
    process = launch(folder, classes)
    (folder / "pid").write_text(str(process.pid))
    deadline = time.monotonic() + patience
    while not answers(port):
        if process.poll() is not None or time.monotonic() > deadline:
            stop(folder)
            lines = (folder / "server.log").read_text(errors="replace").splitlines()[-15:]
            raise StartError(f"Kafka did not start; the end of {folder / 'server.log'}:\n" + "\n".join(lines))
        time.sleep(0.1)
    print(f"Kafka answers on 127.0.0.1:{port} (process {process.pid}, files in {folder})")
    if sasl:
        print(f"its super user is {SUPER_USER}: {folder / 'client.properties'} has the password")
    return 0


def stop(folder: Path) -> int:
    """End the folder's broker, and only that."""
    pid = running(folder)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 20
        while running(folder) is not None and not reaped(pid):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)
    (folder / "pid").unlink(missing_ok=True)
    print(f"Kafka of {folder} is stopped")
    return 0


def reaped(pid: int) -> bool:
    """Whether that process is a child of ours that has ended."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return False


def status(folder: Path) -> int:
    """Say whether the broker runs; 0 if it answers."""
    pid, port = running(folder), configured_port(folder)
    up = pid is not None and port is not None and answers(port)
    print(f"Kafka of {folder}: " + (f"process {pid} answers on 127.0.0.1:{port}" if up else "not running"))
    return 0 if up else 1


def main() -> int:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["start", "stop", "status"])
    parser.add_argument("--dir", type=Path, default=HERE / "run", help="where it keeps its files (default: %(default)s)")
    parser.add_argument("--port", type=int, default=9092, help="port on 127.0.0.1 (default: %(default)s)")
    parser.add_argument("--patience", type=float, default=90.0, help="seconds to wait for it (default: %(default)s)")
    parser.add_argument("--sasl", action="store_true", help="ask for passwords, and for leave")
    given = parser.parse_args()
    folder = given.dir.resolve()
    try:
        if given.verb == "start":
            return start(folder, given.port, given.patience, sasl=given.sasl)
        return stop(folder) if given.verb == "stop" else status(folder)
    except StartError as failure:
        print(failure, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
