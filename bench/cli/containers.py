"""What the verbs for methods in containers share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.containers.find import Found


def container(name: str) -> Found:
    """The program called ``name``, such as ``er-nerf@official``.

    Raises:
        UsageError: there is none of that name, or it is no container.
    """
    from bench import registry
    from bench.errors import UsageError
    from bench.run.plan import parse_choice

    choice = parse_choice(name)
    if choice.backend not in ("official", "docker"):
        raise UsageError(f"{name} is no container: name one, such as {choice.name}@official")
    return registry.program(choice.name, choice.backend).found
