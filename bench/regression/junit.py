"""The comparison as JUnit XML, which CI servers show as tests."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from bench.regression.summary import rule
from bench.regression.verdict import Judged, Outcome

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML 1.0 document may hold, even escaped."""


def to_junit(outcome: Outcome) -> str:
    """One test a row, an error for each problem."""
    counts = {
        "tests": len(outcome.rows) + len(outcome.problems),
        "failures": outcome.count("regressed"),
        "errors": len(outcome.problems),
    }
    suite = ElementTree.Element("testsuite", {"name": "bench check"} | {key: str(n) for key, n in counts.items()})
    properties = ElementTree.SubElement(suite, "properties")
    ElementTree.SubElement(properties, "property", name="rule", value=rule(outcome))
    for problem in outcome.problems:
        name, _, reason = problem.partition(": ")
        case = _case(suite, "comparable", name)
        ElementTree.SubElement(case, "error", message=_clean(reason))
    for row in outcome.rows:
        case = _case(suite, row.method, f"{row.subject} {row.measure}")
        if row.verdict == "regressed":
            ElementTree.SubElement(case, "failure", message=_clean(_sentence(row)))
        else:
            ElementTree.SubElement(case, "system-out").text = _clean(_sentence(row))
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ElementTree.Element, group: str, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", classname=_clean(group), name=_clean(name))


def _sentence(row: Judged) -> str:
    if row.delta is None:
        return f"{row.verdict}: {row.reason}"
    interval = f", interval {row.interval[0]:+.4g} to {row.interval[1]:+.4g}" if row.interval else f", {row.reason}"
    change = f"{row.before:.4f} → {row.after:.4f}, Δ {row.delta:+.4g}"
    return f"{row.verdict}: {row.title} {change}{interval}, tolerance {row.tolerance:g}"


def _clean(text: str) -> str:
    return _NOT_XML.sub("�", text)
