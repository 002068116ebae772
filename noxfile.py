"""Developer sessions: ``nox -s tests|lint|types|bench|demo|wheel|gpu``. Each installs what it needs."""

from __future__ import annotations

import nox

nox.options.sessions = ["lint", "types", "tests"]
nox.options.reuse_existing_virtualenvs = True


@nox.session
def tests(session: nox.Session) -> None:
    """All tests but the slow and GPU ones; arguments go to pytest."""
    session.install(".[test]")
    session.run("pytest", "-m", "not slow and not gpu", *session.posargs)


@nox.session
def slow(session: nox.Session) -> None:
    """The slow tests: training on real footage and the like."""
    session.install(".[test,parser]")
    session.run("pytest", "-m", "slow and not gpu", *session.posargs)


@nox.session
def gpu(session: nox.Session) -> None:
    """Tests that need a CUDA device."""
    session.install(".[test,cuda]")
    session.run("pytest", "-m", "gpu", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: rules and format."""
    session.install("ruff>=0.6")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """mypy --strict on bench/."""
    session.install(".", "mypy>=1.11", "pandas-stubs")
    session.run("mypy")


@nox.session
def bench(session: nox.Session) -> None:
    """Speed as ratios within one run, then the gate (docs/performance.md); arguments: --quick, --markdown, …"""
    session.install(".[test]")
    session.run("python", "-P", "benchmarks/everything.py", *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """The main job on the embedded subjects."""
    session.install(".")
    session.run(
        "bench",
        "run",
        "--methods",
        "degstalk,talkinggaussian",
        "--subjects",
        "ada,ben",
        "--preset",
        "quick",
        *session.posargs,
    )


@nox.session
def wheel(session: nox.Session) -> None:
    """A wheel in dist/."""
    session.install("build")
    session.run("python", "-m", "build", "--wheel")
