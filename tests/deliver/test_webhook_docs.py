"""The receivers of docs/subscriptions.md, run: what they take for good, and what for bad."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from broker.deliver.addresses import networks
from broker.deliver.webhook import Webhooks, new_secret
from tests.deliver.servers import answer, run, server, status

DOCS = Path(__file__).parents[2] / "docs" / "subscriptions.md"
BODY = json.dumps({"type": "match", "data": {"alert": {"object_id": "ZTF23aaxeydp", "ra": 1.5, "dec": -2.5}}}).encode()
LO = networks(["127.0.0.1/32"])


def block(language: str, word: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```", DOCS.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    (one,) = [each for each in found if word in each]
    return str(one)


async def _post(port: int, secret: str, *, times: int = 1) -> list[int | None]:
    async with Webhooks(LO) as hooks:
        return [(await hooks.post(f"http://127.0.0.1:{port}/", secret, "dlv_1", BODY)).status for _ in range(times)]


def test_the_receiver_in_python(tmp_path: Path) -> None:
    (tmp_path / "receiver.py").write_text(block("python", "HTTPServer"), "utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    secret = new_secret()
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "receiver.py")],
        env={**os.environ, "NUNCIUS_SECRET": secret, "PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(400):
            with socket.socket() as there:
                if there.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        assert run(_post(port, secret, times=2)) == [204, 204]
        assert run(_post(port, new_secret())) == [401]
        assert run(_post(port, f"{new_secret()} {secret}")) == [204]
    finally:
        process.terminate()
        told, _ = process.communicate(timeout=20)
    assert told.decode().splitlines() == ["match ZTF23aaxeydp 1.5 -2.5"]  # once


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_the_receiver_in_the_shell(tmp_path: Path) -> None:
    secret = new_secret()
    with server(answer(status(204))) as seen:
        run(_post(seen.port, f"{new_secret()} {secret}"))
    (request,) = seen.requests
    (tmp_path / "body.json").write_bytes(request.body)

    def said(**other: str) -> str:
        told = (
            {name: request.headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature")} | {"secret": secret} | other
        )
        done = subprocess.run(
            ["sh", "-c", block("sh", "openssl")],
            cwd=tmp_path,
            env={**os.environ, **told},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    assert said() == "good"
    assert said(secret=new_secret()) == "bad"
    assert said(timestamp="1") == "bad"
    (tmp_path / "body.json").write_bytes(request.body + b" ")
    assert said() == "bad"


def test_the_body_of_the_docs() -> None:
    body = json.loads(block("json", "delivery_id"))
    assert body["type"] == "match"
    assert body["data"]["delivery_id"].startswith("dlv_")
