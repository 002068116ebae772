"""A plugin that misbehaves when it is imported."""

from __future__ import annotations

import os
import time

from tb_stranger import Grey

if os.fork() == 0:  # a helper that outlives whoever asked for it, and holds all that it inherited
    os.setsid()
    time.sleep(30)
    os._exit(0)


class Method(Grey):
    def __init__(self) -> None:
        super().__init__("s-forks")
