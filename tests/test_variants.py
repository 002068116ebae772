"""What a variant is called, and what is refused."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bench import registry
from bench.contract import MethodInfo
from bench.errors import MethodError, UsageError
from bench.variants import Variant, parse_variant

INFO = MethodInfo(
    name="m", title="M", summary="", kind="3DGS", sees=frozenset(),
    factors={"E": "one", "H": "two", "R2": "three"}, readings={"paper": "four"},
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "variant", "name"),
    [
        ("", Variant(), ""),
        ("-E", Variant(off=("E",)), "-E"),
        ("-R2-E-R2", Variant(off=("E", "R2")), "-E-R2"),
        ("paper", Variant("paper"), "paper"),
        ("paper-H", Variant("paper", ("H",)), "paper-H"),
    ],
)
def test_a_variant_is_a_reading_and_factors_left_out(text, variant, name):
    found = parse_variant(text, INFO)
    assert (found, str(found), bool(found)) == (variant, name, bool(name))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-e", "unknown factor of m 'e'.*E, H, R2"),
        ("papr", "unknown reading of m 'papr': did you mean 'paper'"),
        ("E", r"to leave a factor out, write \[-E\]"),
        ("+E", r"expected a reading, factors to leave out, or both: m\[paper\], m\[-E\]"),
        ("-E,-H", "expected a reading"),
        ("../x", "expected a reading"),
        ("-E ", "expected a reading"),
    ],
)
def test_what_is_no_variant_is_refused_with_what_is_one(text, message):
    with pytest.raises(UsageError, match=message):
        parse_variant(text, INFO)


def test_a_key_that_could_not_be_written_is_refused():
    with pytest.raises(UsageError, match="letters and digits"):
        MethodInfo(name="m", title="M", summary="", kind="3DGS", sees=frozenset(), factors={"-E": "one"})


class _Named:
    """A plugin as the registry finds it."""

    info = INFO

    def train(self, task):
        raise NotImplementedError

    def load(self, checkpoint, device):
        raise NotImplementedError


def _entries(monkeypatch, plugin) -> None:
    monkeypatch.setattr(registry, "_entries", lambda: {"m": SimpleNamespace(value="x:M", load=lambda: plugin)})


def test_a_method_that_declares_variants_but_has_none(monkeypatch):
    _entries(monkeypatch, _Named)
    assert registry.get("m").info is INFO
    with pytest.raises(MethodError, match=r"has no variant\(\)"):
        registry.get("m", "-E")


def test_the_registry_gives_the_changed_method(monkeypatch):
    class Varied(_Named):
        asked: Variant | None = None

        def variant(self, variant):
            changed = Varied()
            changed.asked = variant
            return changed

    _entries(monkeypatch, Varied)
    assert registry.get("m", "paper-E").asked == Variant("paper", ("E",))
    assert registry.get("m").asked is None


def test_a_variant_that_takes_another_name(monkeypatch):
    class Other(_Named):
        def variant(self, variant):
            return SimpleNamespace(info=SimpleNamespace(name="n"))

    _entries(monkeypatch, Other)
    with pytest.raises(MethodError, match="calls itself 'n'"):
        registry.get("m", "-E")
