"""A plugin that misbehaves when it is imported."""

from __future__ import annotations

from tb_stranger import Grey


class Method(Grey):
    def __init__(self) -> None:
        super().__init__("s-nonsense")
        self.info = {"name": "s-nonsense"}
