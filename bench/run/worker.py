"""The process of one cell: ``python -m bench.run.worker JOB EVENTS LOCK`` (JSON of a Job, descriptors of a pipe and of the run's lock).

Events go into the pipe as JSON lines, everything printed into the cell's log (the parent has redirected it). Standard
input is a pipe from the parent: when it breaks, the parent is dead, however it died, and so this process ends, too.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from functools import partial
from typing import Any

from bench.errors import BenchError, BenchWarning
from bench.run.heartbeat import beating
from bench.run.layout import Job

_GRACE = 4.0
"""Seconds that ending a program may take once the parent is dead: less than the next run waits for the folder's lock."""


def main() -> None:
    """Run the cell; exit code 1 after a ``failed`` event if it can't be done."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides what it means
    threading.Thread(target=_die_with_parent, daemon=True).start()
    job, pipe, lock = Job.model_validate_json(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    for descriptor in (pipe, lock):  # what a method starts, or forks, must hold neither
        os.set_inheritable(descriptor, False)
        os.register_at_fork(after_in_child=partial(os.close, descriptor))
    with os.fdopen(pipe, "w", encoding="utf-8", buffering=1) as events, beating(job.folder) as note:

        def emit(event: dict[str, Any]) -> None:
            note(event)
            events.write(json.dumps(event) + "\n")

        def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
            print(f"{category.__name__}: {message}", file=sys.stderr)
            if issubclass(category, BenchWarning):
                emit({"event": "note", "text": str(message)})

        warnings.showwarning = show
        try:
            from bench.run.cell import run_cell

            run_cell(job, emit)
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            sys.stderr.flush()
            emit({"event": "failed", "error": one_line(error)})
            sys.exit(1)


def one_line(error: BaseException) -> str:
    """What went wrong, in one line a user can act on."""
    if isinstance(error, SystemExit):
        return f"the method called sys.exit({error.code!r}); it should raise an error instead"
    if getattr(error, "errno", None) == errno.ENOSPC:
        return f"no space left on the device ({getattr(error, 'filename', None) or 'writing the cell'}): free some, then run again"
    if isinstance(error, MemoryError):
        return "out of memory: use a smaller preset or fewer --jobs"
    text = " ".join(str(error).split())
    text = text if len(text) <= 400 else f"{text[:400]}…"
    return text if isinstance(error, BenchError) and text else f"{type(error).__name__}: {text}"


def _die_with_parent() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)  # ends it at once, unless a program is at work, which is to go first
    time.sleep(_GRACE)
    os._exit(1)


if __name__ == "__main__":
    main()
