"""``bench methods shell``: look into the image of a method that is a container."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys

import click

from bench.cli.containers import container


@click.command("shell")
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Print the command, start nothing.")
def command(name: str, dry_run: bool) -> None:
    """Open a shell in the image of NAME (such as er-nerf@official), confined as its runs are."""
    from bench import system, threads
    from bench.containers import engine, image
    from bench.containers.method import gpus
    from bench.containers.step import Confinement
    from bench.errors import AbsentError, UsageError

    found = container(name)
    if not dry_run and not sys.stdin.isatty():
        raise UsageError("a shell needs a terminal: start it from one, or use --dry-run")
    if not dry_run and not shutil.which("docker"):
        raise AbsentError("a shell needs the docker command, which isn't here: install Docker's command line")
    assert found.spec.image is not None
    device = "cuda" if found.spec.image.gpu and system.gpu_name() else "cpu"
    client = None if dry_run else engine.connect()
    user = engine.user(client is not None and engine.rootless(client))
    confinement = Confinement.of(found.spec.image, "{}:{}".format(*user), threads.allowed(), gpus(device))
    words = ["docker", "run", "--rm", "-it", *confinement.arguments(), "--entrypoint=sh", image.tag(found)]
    click.echo(shlex.join(words), err=not dry_run)
    if client is None:
        return
    image.require(client, found, name)
    sys.exit(subprocess.call(words))
