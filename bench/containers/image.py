"""Images: named after what they are built from, built where that name isn't there yet."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Any

from bench.containers.find import FILE, Found
from bench.containers.spec import Image
from bench.errors import AbsentError, MethodError, in_one_line
from bench.hashes import hash_folder

BASE_LABEL = "talkbench.base"
"""On an image: its base images as they were when it was built, by digest where they have one."""
_FROM = re.compile(r"^\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE | re.MULTILINE)


def tag(found: Found) -> str:
    """The image's name: the TOML's ``name``, or one with the hash of Dockerfile, context, upstream and commit."""
    image = _image(found)
    if image.name:
        return image.name
    content = hash_folder(found.path.parent, without={FILE})
    return f"talkbench/{found.spec.name}:{_short(content, *arguments(found).values())}"


def arguments(found: Found) -> dict[str, str]:
    """The build arguments: UPSTREAM and COMMIT, where the Dockerfile asks for them."""
    given = {"UPSTREAM": found.spec.upstream, "COMMIT": found.spec.commit}
    text = _dockerfile(found)
    return {name: value for name, value in given.items() if re.search(rf"^\s*ARG\s+{name}\b", text, re.MULTILINE)}


def bases(found: Found) -> list[str]:
    """The images that the Dockerfile begins with, its own stages left out."""
    pairs = _FROM.findall(_dockerfile(found))
    stages = {stage for _, stage in pairs if stage}
    return [name for name in dict.fromkeys(name for name, _ in pairs) if name not in stages | {"scratch"}]


def require(client: Any, found: Found, label: str) -> None:
    """Raise unless the image is there.

    Raises:
        AbsentError: it isn't; the message has the command that makes it.
    """
    name = tag(found)
    if not _there(client, name):
        remedy = f"import or pull it as {name}" if _image(found).name else f"bench methods build {label}"
        raise AbsentError(f"{label}: its image {name} isn't here: {remedy}")


def identity(client: Any, found: Found) -> str:
    """What the image is: its name, and the first digits of its content's hash."""
    name = tag(found)
    return f"{name} ({client.images.get(name).id.removeprefix('sha256:')[:12]})"


def build(client: Any, found: Found, tell: Callable[[str], None], *, again: bool = False) -> str:
    """Build the image if it isn't there, and return its name. The engine keeps the layers it has.

    :param tell: hears each line that the build prints
    :param again: build it even if it is there
    :raises MethodError: the build failed, with the last thing it said; or the TOML names an image that is only to be had elsewhere
    """
    import docker

    image, name = _image(found), tag(found)
    if image.name:
        raise MethodError(f"{found.path} names the image {image.name}, so there is nothing to build: import or pull it")
    if _there(client, name) and not again:
        tell(f"{name} is there already")
        return name
    said = ""
    try:
        resolved = [_resolved(client, base, image.offline) for base in bases(found)]
        for line in _built(client, found, name, {BASE_LABEL: " ".join(resolved)}):
            said = line or said
            tell(line)
    except docker.errors.DockerException as error:
        raise MethodError(f"{name} can't be built: {in_one_line(error)}") from error
    if not _there(client, name):
        raise MethodError(f"{name} can't be built: {said}")
    return name


def _built(client: Any, found: Found, name: str, labels: dict[str, str]) -> Iterator[str]:
    """The build's output, line by line."""
    image = _image(found)
    for event in client.api.build(
        path=str(found.path.parent), dockerfile=image.dockerfile, tag=name, buildargs=arguments(found), labels=labels,
        rm=True, forcerm=True, decode=True, network_mode="none" if image.offline else None,
    ):  # fmt: skip
        text = str(event.get("stream") or event.get("error") or event.get("status") or "")
        yield from (line for line in text.splitlines() if line.strip())


def _resolved(client: Any, base: str, offline: bool) -> str:
    """A base image by digest (the local one's id where it has none), fetched first where it isn't there."""
    if not _there(client, base) and not offline:
        client.images.pull(base)
    found = client.images.get(base)
    return str((found.attrs.get("RepoDigests") or [f"{base}@{found.id}"])[0])


def _there(client: Any, name: str) -> bool:
    import docker

    try:
        client.images.get(name)
    except docker.errors.ImageNotFound:
        return False
    return True


def _image(found: Found) -> Image:
    if found.spec.image is None:
        raise MethodError(f"{found.path} describes a command of the host, which has no image")
    return found.spec.image


def _dockerfile(found: Found) -> str:
    name = _image(found).dockerfile
    return (found.path.parent / name).read_text(encoding="utf-8") if name else ""


def _short(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
