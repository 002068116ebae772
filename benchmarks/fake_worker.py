"""Takes the place of a cell's process in ``benchmarks/cells.py``: tells its stages, sleeps as long as it is told, writes a record.

It is copied to a folder that has ``template.json``, a record, and ``seconds.json``, how long cells take; its interpreter starts
without site packages, so that it costs little. Arguments: those of ``python -P -m bench.run.worker JOB EVENTS LOCK``.
"""

import json
import os
import sys
import time

STAGES = ("train", "load", "render", "audit", "score")


def main() -> None:
    """Do as if."""
    job, events, here = json.loads(sys.argv[4]), int(sys.argv[5]), os.path.dirname(sys.argv[0])
    with open(f"{here}/template.json") as file:
        record = json.load(file)
    with open(f"{here}/seconds.json") as file:
        seconds = json.load(file)
    for stage in STAGES:
        os.write(events, (json.dumps({"event": "stage", "stage": stage, "total": 0}) + "\n").encode())
    time.sleep(seconds[job["cell"]["seed"] % len(seconds)])
    key = job["cell"]
    record["cell"] = key
    record["provenance"]["subject"] = job["subject_hash"]
    variant = f"[{key['variant']}]" if key["variant"] else ""
    folder = f"{job['run']}/cells/{key['method']}{variant}--{key['subject']}--{key['preset']}--s{key['seed']}"
    with open(f"{folder}/.record.json", "w") as file:
        json.dump(record, file)
    os.replace(f"{folder}/.record.json", f"{folder}/record.json")


main()
