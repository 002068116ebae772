"""A plugin that misbehaves when it is imported."""

from __future__ import annotations

import os

from tb_stranger import Grey

print("welcome to this method\n" * 2000)
os.write(1, b"and below Python, too\n")


class Method(Grey):
    def __init__(self) -> None:
        print("made")
        super().__init__("s-prints")
