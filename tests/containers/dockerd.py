"""A Docker engine of the tests' own, the one image that all their containers are made of (busybox), and what is left in it."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.containers import owner

BASE = "talkbench-test/busybox:1"
_OURS = f"BENCH_TEST_SESSION={os.getpid()}"
"""Stands in the environment of every process that these tests start: others may test beside us."""
_PATIENCE = 60.0


@contextmanager
def running() -> Iterator[Any]:
    """A client of an engine that is started here, and ended by its process; skips where none can start. Sets $DOCKER_HOST."""
    docker = pytest.importorskip("docker", reason="pip install 'talkbench[docker]'")
    if os.getuid() or not shutil.which("dockerd"):
        pytest.skip("needs root and dockerd (apt-get install docker.io)")
    busybox = shutil.which("busybox")
    if busybox is None or b"=>" in subprocess.run(["ldd", busybox], capture_output=True).stdout:
        pytest.skip("needs a static busybox (apt-get install busybox-static)")
    root = Path(tempfile.mkdtemp(prefix="tb-", dir="/tmp"))  # a socket's path is short
    host = f"unix://{root}/docker.sock"
    with pytest.MonkeyPatch.context() as patch, (root / "log").open("wb") as log:
        patch.setenv("DOCKER_HOST", host)
        patch.setenv(*_OURS.split("="))
        daemon = subprocess.Popen(_daemon(root, host), stdout=log, stderr=log, start_new_session=True)
        try:
            client = _reached(docker, daemon, root / "log")
            client.api.import_image_from_data(_base(busybox), *BASE.split(":"))
            yield client
            client.close()
        finally:
            daemon.terminate()
            daemon.wait(_PATIENCE)
            shutil.rmtree(root, ignore_errors=True)


def left_over(client: Any) -> list[str]:
    """Containers and volumes in the engine, processes of commands on the host."""
    containers = [container.name for container in client.containers.list(all=True)]
    volumes = [volume.name for volume in client.volumes.list()]
    return containers + volumes + marked_processes()


def marked_processes() -> list[str]:
    """Processes that a harness started as a method's command."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            environment = path.read_bytes()
            if f"{owner.VARIABLE}=".encode() in environment and _OURS.encode() in environment:
                found.append(path.parent.name)
        except OSError:
            continue  # gone, or not ours
    return found


def _daemon(root: Path, host: str) -> list[str]:
    return [
        "dockerd", f"--data-root={root}/data", f"--exec-root={root}/exec", f"--pidfile={root}/pid", f"--host={host}",
        "--iptables=false", "--ip6tables=false", "--bridge=none", "--ip-forward=false", "--ip-masq=false",
    ]  # fmt: skip


def _reached(docker: Any, daemon: subprocess.Popen[bytes], log: Path) -> Any:
    deadline = time.monotonic() + _PATIENCE
    while daemon.poll() is None and time.monotonic() < deadline:
        try:
            client = docker.from_env()
            client.ping()
            return client
        except Exception:  # whatever it says while it starts
            time.sleep(0.2)
    pytest.skip(f"dockerd doesn't start here: {log.read_text(errors='replace').splitlines()[-1:]}")


def _base(busybox: str) -> bytes:
    """A root file system: busybox under all its names, /tmp, and a picture of 2×2 pixels."""
    from PIL import Image

    buffer, small = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (2, 2)).save(small, "BMP")
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("bin", "tmp", "work", "usr", "usr/bin"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(folder)
        for name, content in (("bin/busybox", Path(busybox).read_bytes()), ("small.bmp", small.getvalue())):
            file = tarfile.TarInfo(name)
            file.size, file.mode = len(content), 0o755
            tar.addfile(file, io.BytesIO(content))
        for name in applets:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            if name != "busybox":
                tar.addfile(link)
    return buffer.getvalue()
