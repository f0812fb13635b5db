"""docs/protocol.md and messages.py say the same."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from augfarm.protocol import messages

DOCUMENT = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
#: A heading "### NAME (code)", and the paragraph below it.
SECTIONS = {
    name: (int(code), paragraph)
    for name, code, paragraph in re.findall(
        r"^### ([A-Z]+) \((\d+)\)\n(.*?)(?:\n\n|\Z)", DOCUMENT, re.M | re.S
    )
}
COMMANDS = {kind.__name__.upper(): (code, kind) for code, kind in messages.BY_CODE.items()}


def test_every_command_is_described_and_every_description_is_a_command():
    assert {name: code for name, (code, _) in SECTIONS.items()} == {
        name: code for name, (code, _) in COMMANDS.items()
    }


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_fields_are_named_in_their_order(name):
    expected = [field.name for field in fields(COMMANDS[name][1])]
    first_line = SECTIONS[name][1].splitlines()[0]
    assert (re.findall(r"`([a-z_]+)`", first_line) if expected else []) == expected


@pytest.mark.parametrize(
    ("rule", "commands"),
    [
        ("c-to-b", messages.FROM_CLIENT),
        ("b-to-c", messages.TO_CLIENT),
        ("w-to-b", messages.FROM_WORKER),
        ("b-to-w", messages.TO_WORKER),
    ],
)
def test_the_grammar_lists_what_each_side_may_send(rule, commands):
    (line,) = re.findall(rf"^{rule} +=(.*)$", DOCUMENT, re.M)
    assert set(re.findall(r"[A-Z]+", line)) == {kind.__name__.upper() for kind in commands}


def test_codes_and_kinds_are_named():
    for word in (*messages.REFUSAL_CODES, *messages.FAILURE_KINDS):
        assert f'"{word}"' in DOCUMENT


def test_sections_come_in_the_usual_order():
    headings = re.findall(r"^## \d+\. (\w+)", DOCUMENT, re.M)
    wanted = [
        "Goals",
        "Grammar",
        "Commands",
        "Credit",
        "Heartbeats",
        "Routes",
        "Reliability",
        "Security",
        "Known",
    ]
    assert list(dict.fromkeys(headings)) == wanted
