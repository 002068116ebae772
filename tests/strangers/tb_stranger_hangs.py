"""A plugin that misbehaves when it is imported."""

from __future__ import annotations

import time

time.sleep(600)
