"""What a cell's process used of the device it ran on."""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def peak_memory(device: str) -> int:
    """Bytes: what CUDA had allocated at most, or on the CPU the process's largest resident set."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_allocated())
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would give the parent's peak where that is larger: Linux hands it on at exec
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
