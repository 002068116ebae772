"""The Docker engine: reached, and cleared of what an earlier harness left there."""

from __future__ import annotations

import os
from typing import Any

from bench.containers import owner
from bench.errors import AbsentError, in_one_line

OUT_LABEL = "talkbench.out"
"""On a container: the folder that it writes."""

_TIMEOUT = 120
"""Seconds for one answer of the engine."""


def connect() -> Any:
    """A client (:class:`docker.DockerClient`) of an engine that answers; ``$DOCKER_HOST`` says where it is.

    Raises:
        AbsentError: the docker package or the engine isn't here.
    """
    try:
        import docker
    except ImportError as error:
        raise AbsentError("containers need the docker package: pip install 'talkbench[docker]'") from error
    try:
        client = docker.from_env(timeout=_TIMEOUT)
        client.ping()
    except Exception as error:  # the SDK lets errors of requests and urllib3 through, too
        place = os.environ.get("DOCKER_HOST", "its usual socket")
        raise AbsentError(
            f"no Docker engine answers at {place} ({in_one_line(error)[:160]}): start Docker, or set DOCKER_HOST"
        ) from error
    return client


def rootless(client: Any) -> bool:
    """Whether the engine runs as a user, who then is number 0 in its containers."""
    return any("rootless" in option for option in client.info().get("SecurityOptions") or ())


def user(rootless: bool = False) -> tuple[int, int]:
    """(uid, gid) of the programs in containers: those of this process, or nobody's where that is root."""
    if rootless:
        return 0, 0
    return (os.getuid(), os.getgid()) if os.getuid() else (65534, 65534)


def orphans(client: Any) -> list[Any]:
    """The containers of a harness that is gone."""
    found = client.containers.list(all=True, filters={"label": owner.LABEL}, ignore_removed=True)
    return [container for container in found if not owner.alive(container.labels.get(owner.LABEL, ""))]


def sweep(client: Any) -> int:
    """Remove the containers of a harness that is gone; returns how many."""
    import docker

    found = orphans(client)
    for orphan in found:
        try:
            orphan.remove(force=True, v=True)
        except docker.errors.APIError as error:
            if error.status_code not in (404, 409):  # gone meanwhile, or somebody else is at it
                raise
    return len(found)
