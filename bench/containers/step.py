"""One command of a program: what it runs, what it is given, what it may use up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.containers.spec import Image


@dataclass(frozen=True)
class Mount:
    """A file or folder of the host, seen in the container."""

    source: Path
    target: str
    writable: bool = False

    def argument(self) -> str:
        """As ``docker run --mount`` takes it."""
        return f"type=bind,source={self.source},target={self.target}" + ("" if self.writable else ",readonly")


@dataclass(frozen=True)
class Step:
    """One command, ready to run."""

    name: str
    """``stage 'head'`` or ``rendering``, for messages."""
    command: tuple[str, ...]
    seconds: float
    disk: int
    """Bytes that all writable folders together may hold."""
    grows: tuple[Path, ...]
    """The writable folders."""
    mounts: tuple[Mount, ...] = ()
    """Of a container; empty on the host."""
    steps: str = ""
    """Pattern of a progress line (:attr:`bench.containers.spec.Stage.steps`)."""


@dataclass(frozen=True)
class Confinement:
    """What a container may use and do: the same facts for the engine and for people."""

    user: str
    """``uid:gid``, never the machine's administrator."""
    memory: int
    shm: int
    cpus: float
    pids: int
    writable: bool
    gpus: tuple[str, ...]
    """Numbers of the GPUs it sees; empty: none."""

    @classmethod
    def of(cls, image: Image, user: str, threads: int, gpus: tuple[str, ...]) -> Confinement:
        """From the TOML, where it says something; ``threads``: CPUs where it doesn't."""
        cpus = image.cpus or float(threads)
        return cls(user, image.memory, image.shm, cpus, image.pids, image.writable, gpus if image.gpu else ())

    @property
    def _tmpfs(self) -> str:
        """/tmp lies in memory, and counts as such. It is the user's: its mode is that of the image's own /tmp."""
        uid, _, gid = self.user.partition(":")
        return f"rw,exec,nosuid,mode=1777,uid={uid},gid={gid}"

    @property
    def environment(self) -> dict[str, str]:
        """Variables: a home that can be written, output that isn't held back, as many threads as there are CPUs."""
        return {"HOME": "/tmp", "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": str(max(1, int(self.cpus)))}

    def arguments(self) -> list[str]:
        """As arguments of ``docker run``."""
        words = [
            "--network=none", f"--user={self.user}", "--cap-drop=ALL", "--security-opt=no-new-privileges",
            f"--memory={self.memory}", f"--memory-swap={self.memory}", f"--shm-size={self.shm}", f"--cpus={self.cpus:g}",
            f"--pids-limit={self.pids}", f"--tmpfs=/tmp:{self._tmpfs}", "--log-driver=none",
        ]  # fmt: skip
        words += [] if self.writable else ["--read-only"]
        words += [f"--gpus=device={','.join(self.gpus)}"] if self.gpus else []
        return words + [f"--env={name}={value}" for name, value in self.environment.items()]

    def keywords(self) -> dict[str, object]:
        """As keywords of the SDK's ``containers.create``."""
        from docker.types import DeviceRequest, LogConfig

        requests = [DeviceRequest(device_ids=list(self.gpus), capabilities=[["gpu"]])] if self.gpus else []
        return {
            "network_mode": "none", "user": self.user, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges"],
            "mem_limit": self.memory, "memswap_limit": self.memory, "shm_size": self.shm,
            "nano_cpus": round(self.cpus * 1e9), "pids_limit": self.pids, "log_config": LogConfig(type="none"),
            "read_only": not self.writable, "tmpfs": {"/tmp": self._tmpfs},
            "device_requests": requests, "environment": self.environment,
        }  # fmt: skip
