"""What a run of very many cells costs beside its cells (docs/reliability.md, "At scale").

``python benchmarks/cells.py run [--cells 10000] [--executor local|ray]`` drives fake cells through the real session and executor,
``python benchmarks/cells.py read [--cells 100000]`` lists, tables and reports a run of as many records.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import many

from bench.records import CellKey, Plan, Record, load_record
from bench.run import executors
from bench.run.layout import Job, RunFolder
from bench.run.preflight import Prepared
from bench.run.session import run_cells

PYTHON = sys.executable
FLOOR = 400
"""Cells over which the floor is measured."""
_SHARES = (0.1, 0.5, 1.0)
"""Of the cells, after which memory is looked at."""


class Gauge:
    """A watcher that looks at this process's memory on the way."""

    def __init__(self, cells: int) -> None:
        self.at = {round(share * cells) for share in _SHARES}
        self.over = 0
        self.memory: dict[int, dict[str, float]] = {}

    def started(self, cell: CellKey) -> None:
        """See :class:`bench.run.executor.Watcher`."""

    def event(self, cell: CellKey, event: dict[str, Any]) -> None:
        """See :class:`bench.run.executor.Watcher`."""

    def note(self, text: str) -> None:
        """See :class:`bench.run.session.Display`."""
        print(f"note: {text}")

    def ended(self, cell: CellKey, record: Record) -> None:
        """See :class:`bench.run.executor.Watcher`."""
        assert record.status == "ok", record.error
        self.over += 1
        if self.over in self.at:
            self.memory[self.over] = {"parent": _resident(os.getpid())} | _ray_processes()


def fake(folder: Path, seconds: Sequence[float]) -> Path:
    """The fake worker, as a program of its own that takes an interpreter's place."""
    program = folder / "worker"
    text = Path(__file__).with_name("fake_worker.py").read_text()
    program.write_text(f"#!{PYTHON} -IS\n{text}")
    program.chmod(0o755)
    template = many.record(many.keys(1, 1, 1)[0])
    (folder / "template.json").write_text(json.dumps(template))
    (folder / "seconds.json").write_text(json.dumps(list(seconds)))
    return program


def prepared(run: Path, cells: int) -> Prepared:
    """A run of so many cells: ten methods, ten subjects, the rest seeds."""
    keys = many.keys(10, 10, -(-cells // 100))[:cells]
    jobs = [
        Job(cell=key, run=run, subject_root=run.parent / "subject", subject_hash="0" * 64, device="cpu",
            metrics=many.MEASURES, detector="mediapipe")
        for key in keys
    ]  # fmt: skip
    return Prepared(RunFolder(run), Plan(cells=keys), jobs, notes=[], offline=True)


def floor(program: Path, jobs: Sequence[Job], parallel: int) -> float:
    """Seconds a cell when nothing but ``subprocess.run`` starts the fake worker, as many at once."""
    orders = [job.model_dump_json() for job in jobs]
    for job in jobs:
        job.folder.root.mkdir(parents=True)
    with open(os.devnull, "w") as nothing, ThreadPoolExecutor(parallel) as pool:
        number = str(nothing.fileno())

        def start(order: str) -> None:
            command = [str(program), "-P", "-m", "bench.run.worker", order, number, number]
            subprocess.run(command, check=True, pass_fds=(nothing.fileno(),))

        begin = time.perf_counter()
        list(pool.map(start, orders))
        return (time.perf_counter() - begin) / len(jobs)


def through(executor: executors.Name, run: Path, cells: int, parallel: int) -> tuple[Gauge, float, float]:
    """Drive the cells through an executor; the gauge, and seconds a cell: of wall time, and of this process's own."""
    gauge, plan = Gauge(cells), prepared(run, cells)
    begin, before = time.perf_counter(), _own_seconds()
    run_cells(
        plan, executors.get(executor), parallel=parallel, threads=1, limit=None, force=False, reuse=False, display=gauge
    )
    wall, own = time.perf_counter() - begin, _own_seconds() - before
    return gauge, wall / cells, own / cells


def drive(arguments: argparse.Namespace) -> None:
    """Print what the cells cost."""
    cells, parallel = arguments.cells, arguments.jobs
    with tempfile.TemporaryDirectory(dir=arguments.dir) as name:
        folder = Path(name)
        program = fake(folder, _durations(arguments.like, arguments.scale))
        lowest = floor(program, prepared(folder / "floor", FLOOR).jobs, parallel)
        with _in_place_of_python(program, arguments.executor):
            gauge, wall, own = through(arguments.executor, folder / "run", cells, parallel)
            print(f"{cells} cells, --executor {arguments.executor} --jobs {parallel}")
            print(f"a cell      {1000 * wall:6.1f} ms of wall time; this process's own CPU time {1000 * own:.1f} ms")
            print(f"the floor   {1000 * lowest:6.1f} ms (subprocess.run of the same program, {parallel} at once)")
            print(f"beyond it   {1000 * (wall - lowest):6.1f} ms")
            for over, found in gauge.memory.items():
                print(f"memory at {over:6}  " + ", ".join(f"{what} {size:.0f} MiB" for what, size in found.items()))
            _, again, _ = through(arguments.executor, folder / "run", cells, parallel)
        print(f"all done    {1000 * again:6.2f} ms a cell to find that there is nothing to do")


def _durations(like: Path | None, scale: float) -> list[float]:
    """How long cells take: those of a real run's records, scaled; without one, no time at all."""
    if like is None:
        return [0.0]
    return [scale * load_record(path).seconds for path in sorted(like.glob("cells/*/record.json"))]


@contextmanager
def _in_place_of_python(program: Path, executor: executors.Name) -> Iterator[None]:
    """Whoever starts an interpreter for a cell, here or in Ray's workers, starts the program."""
    if executor == "local":
        sys.executable = str(program)
        try:
            yield
        finally:
            sys.executable = PYTHON
        return
    os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
    import ray

    def use(path: str = str(program)) -> None:
        import sys

        sys.executable = path

    cpus = {"address": "local", "num_cpus": os.cpu_count(), "include_dashboard": False}
    ray.init(**cpus, log_to_driver=False, logging_level="ERROR", runtime_env={"worker_process_setup_hook": use})
    try:
        yield
    finally:
        ray.shutdown()


def _own_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _resident(pid: int) -> float:
    """MiB of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def _ray_processes() -> dict[str, float]:
    """The same of Ray's own that this process started: its head's servers, and the queue of events."""
    found: dict[str, float] = {}
    for pid in _below(os.getpid()) if "ray" in sys.modules else ():
        with suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].rsplit(b"/", 1)[-1].decode()
            name = command if command in ("gcs_server", "raylet") else "queue" if "_QueueActor" in command else ""
            if name:
                found[name] = found.get(name, 0.0) + _resident(pid)
    return found


def _below(pid: int) -> list[int]:
    """A process's children, and theirs."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:  # it grows meanwhile
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


def read(arguments: argparse.Namespace) -> None:
    """Print how long it takes to list, table and report a run of many records."""
    seeds = -(-arguments.cells // 1000)
    with tempfile.TemporaryDirectory(dir=arguments.dir) as name:
        run = many.make(Path(name) / "run", 10, 100, seeds, wrong=arguments.cells // 100)
        print(f"{10 * 100 * seeds} cells: 10 methods, 100 subjects, {seeds} seeds; 1 % failed")
        bench = "from bench.cli import main; main()"
        table = f"import bench; print(len(bench.load({str(run)!r}).table()))"
        for title, code, *rest in (
            ("bench status, no index yet", bench, "status"),
            ("bench status", bench, "status"),
            ("bench status --state failed", bench, "status", "--state", "failed"),
            ("bench status --json", bench, "status", "--json"),
            ("bench.load(run).table()", table),
            ("bench report", bench, "report"),
            ("bench report --table csv", bench, "report", "--table", "csv"),
        ):
            _tell(title, code, *rest[:1], run, *rest[1:])
        for path in sorted(run.glob("cells/m0--s?--*/record.json"))[:1000]:
            path.write_text(path.read_text().replace("ok", "ok", 1))
        _tell("bench status, 1,000 records are newer", bench, "status", run)
        page, index = run / "report" / "index.html", run / "index.parquet"
        print(f"page {page.stat().st_size / 2**20:.1f} MiB, index {index.stat().st_size / 2**20:.1f} MiB")


def _tell(title: str, code: str, *arguments: object) -> None:
    """Print what a process of its own takes: wall time, CPU time, and the most memory that it had."""
    begin = time.perf_counter()
    process = subprocess.Popen([PYTHON, "-P", "-c", code, *map(str, arguments)], stdout=subprocess.DEVNULL)
    _, state, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(state)
    assert process.returncode == 0, title
    wall, own = time.perf_counter() - begin, used.ru_utime + used.ru_stime
    print(f"{title:40}{wall:7.1f} s  CPU {own:6.1f} s  {used.ru_maxrss / 1024:6.0f} MiB", flush=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=Path, help="where the run is made [default: the folder for temporary files]")
    verbs = parser.add_subparsers(required=True)
    run = verbs.add_parser("run", help=drive.__doc__)
    run.add_argument("--cells", type=int, default=10_000)
    run.add_argument("--executor", choices=("local", "ray"), default="local")
    run.add_argument("--jobs", type=int, default=2, help="cells at the same time")
    run.add_argument("--like", type=Path, metavar="RUN", help="a real run, whose cells' times are taken")
    run.add_argument("--scale", type=float, default=0.001, help="by which those times are multiplied")
    run.set_defaults(do=drive)
    reading = verbs.add_parser("read", help=read.__doc__)
    reading.add_argument("--cells", type=int, default=100_000)
    reading.set_defaults(do=read)
    arguments = parser.parse_args()
    arguments.do(arguments)


if __name__ == "__main__":
    main()
