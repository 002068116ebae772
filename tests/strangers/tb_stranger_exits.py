"""A plugin that misbehaves when it is imported."""

from __future__ import annotations

import sys

print("no licence found")
sys.exit(0)
