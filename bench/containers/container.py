"""A program in a container: no network, no rights, its own files read-only, and gone when it is over."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any

from bench.containers import owner
from bench.containers.engine import OUT_LABEL
from bench.containers.step import Confinement, Step
from bench.containers.watch import Exit
from bench.errors import MethodError, in_one_line


class ContainerProcess:
    """One command in a container of its own."""

    def __init__(self, client: Any, image: str, step: Step, confinement: Confinement) -> None:
        """Create and start it.

        Raises:
            MethodError: the engine refuses, which it says why.
        """
        import docker
        from docker.types import Mount

        self.memory = f"{confinement.memory / 2**20:.0f} MiB"
        self._failed: Exit | None = None
        self._client, self._counts = client, confinement.writable
        try:
            self._container = client.containers.create(
                image, list(step.command), entrypoint=[""], **confinement.keywords(),
                mounts=[Mount(m.target, str(m.source), "bind", read_only=not m.writable) for m in step.mounts],
                labels={owner.LABEL: owner.mark(), OUT_LABEL: str(step.grows[0])},
            )  # fmt: skip
        except docker.errors.DockerException as error:
            raise MethodError(
                f"{step.name}: Docker can't create a container of {image}: {in_one_line(error)}"
            ) from error
        try:
            self._stream = self._container.attach(stream=True, logs=False)
            self._container.start()
        except docker.errors.APIError as error:
            self._refused(step, error)
        except BaseException:
            self.close()
            raise

    def _refused(self, step: Step, error: Exception) -> None:
        """The engine tells what can't be started by its message alone."""
        text = in_one_line(error)
        if "executable file not found" in text or "no such file or directory" in text:
            self._failed = Exit(127, started=False)
        elif "permission denied" in text:
            self._failed = Exit(126, started=False)
        else:
            self.close()
            raise MethodError(f"{step.name}: Docker can't start the container: {text}") from error

    def output(self) -> Iterator[bytes]:
        """See :class:`bench.containers.watch.Process`."""
        return iter(self._stream if self._failed is None else ())

    def poll(self) -> Exit | None:
        """See :class:`bench.containers.watch.Process`."""
        if self._failed:
            return self._failed
        self._container.reload()
        state = self._container.attrs["State"]
        if state["Status"] in ("created", "running", "restarting", "paused"):
            return None
        return Exit(int(state["ExitCode"]), bool(state["OOMKilled"]))

    def written(self) -> int:
        """Bytes in the container's own layer, where it may write there."""
        if not self._counts:
            return 0
        found = self._client.api.containers(size=True, filters={"id": self._container.id})
        return int(found[0].get("SizeRw", 0)) if found else 0

    def stop(self, number: int) -> None:
        """See :class:`bench.containers.watch.Process`."""
        import docker

        with contextlib.suppress(docker.errors.APIError):  # it is over
            self._container.kill(signal.Signals(number).name)

    def close(self) -> None:
        """Remove the container and the volumes that its image declares."""
        import docker

        with contextlib.suppress(docker.errors.NotFound):
            self._container.remove(force=True, v=True)
