"""Which cells there are, and what they are called."""

from __future__ import annotations

import pytest

from bench.errors import UsageError
from bench.run.plan import Choice, cells, chosen_methods, default_name, parse_choice


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("degstalk", Choice("degstalk")),
        ("degstalk[-E]", Choice("degstalk", "-E")),
        ("degstalk@official", Choice("degstalk", "", "official")),
        (" degstalk[+R]@official ", Choice("degstalk", "+R", "official")),
    ],
)
def test_a_method_is_named_with_variant_and_backend(text, choice):
    assert parse_choice(text) == choice


@pytest.mark.parametrize("text", ["", "a b", "a[", "a]b", "[x]", "a@", "a@officail"])
def test_what_is_none_of_these_is_refused(text):
    with pytest.raises(UsageError):
        parse_choice(text)


def test_official_code_and_variants_that_are_not_there():
    with pytest.raises(UsageError, match="unknown method 'copy-gt@official'"):
        chosen_methods(["copy-gt@official"], "quick")
    with pytest.raises(UsageError, match="a program has no variants; use copy-gt@official"):
        chosen_methods(["copy-gt[-E]@official"], "quick")
    with pytest.raises(UsageError, match="no variant '-E'"):
        chosen_methods(["copy-gt[-E]"], "quick")


def test_a_variant_has_one_name_however_it_was_written():
    found = chosen_methods(["degstalk[-H-E]", "degstalk[-E-H]", "degstalk[]", "degstalk"], "quick")
    assert [one.choice.variant for one in found] == ["-E-H", ""]
    sees = {one.choice.variant: one.info.sees for one in found if one.info}
    assert sees["-E-H"] >= {"torso_canvas"}
    assert sees[""] >= {"hair_canvas"}


def test_all_takes_every_method():
    assert {one.choice.name for one in chosen_methods(["all"], "quick")} >= {"copy-gt", "mean-frame", "degstalk"}


def test_cells_are_the_product():
    keys = cells([Choice("a"), Choice("b", "-E")], ["s", "t"], "quick", [0, 1])
    assert len(keys) == len(set(keys)) == 8
    assert keys[-1].name == "b[-E]--t--quick--s1"


def test_a_subject_name_that_is_no_file_name():
    with pytest.raises(UsageError, match="can't be a file name"):
        cells([Choice("a")], ["../s"], "quick", [0])


def test_a_variant_stands_in_names():
    (key,) = cells([Choice("b", "-E", "official")], ["s"], "quick", [0])
    assert key.label == "b[-E]@official"
    assert default_name([key], "cpu").startswith("quick-b[-E]@official-")


def test_the_default_folder_follows_the_request():
    keys = cells([Choice("a"), Choice("b")], ["s"], "quick", [0])
    name = default_name(keys, "cpu", "hash")
    assert name.startswith("quick-a+b-")
    assert name == default_name(keys, "cpu", "hash")
    assert name != default_name(keys, "cpu", "other")
    assert name != default_name(keys[:1], "cpu", "hash")
