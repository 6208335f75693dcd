"""Commands of the documents can be given: the command line's own parser takes them, and knows no option besides."""

from __future__ import annotations

import importlib.util
import re
import shlex
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from handfast import ClientConfig
from handfast.cli import names
from handfast.cli.app import app
from handfast.cli.connect import address
from handfast.insecure import NoVerification
from tests.docs.pages import PAGES, ROOT, blocks, named

COMMAND = re.compile(r"^\s*(?:\$ )?(handfast|make|pip|python3?|(?:\.venv/bin/)?\w+) (.*)$")
COMMENT = re.compile(r"\s{2,}\S.*$| +# .*$")  # what stands behind a command, with space between
OF_THE_SHELL = ("<", ">", "|", ";", "&&")


def commands(*languages: str) -> Iterator[tuple[str, list[str]]]:
    """The commands of all blocks without a language of their own: where each stands, and its words."""
    for page in PAGES:
        for block in blocks(page):
            if block.language in ("", "sh", "console", *languages):
                for offset, line in enumerate(block.code.splitlines()):
                    found = COMMAND.match(line)
                    if found and found[1] in ("handfast", "make", "pip", "python", "python3"):
                        text = COMMENT.sub("", f"{found[1]} {found[2]}")
                        yield f"{named(page)}:{block.line + offset}", words(text)


def words(text: str) -> list[str]:
    """The words of a command, up to what is the shell's."""
    found = shlex.split(text)
    return found[: next((n for n, word in enumerate(found) if word in OF_THE_SHELL), len(found))]


ALL = list(commands())
PARSER: Any = typer.main.get_command(app)


def parse(arguments: list[str]) -> None:
    """What the command line does first, up to where it would begin to work."""
    name, *rest = arguments
    command = PARSER.commands[name]
    while hasattr(command, "commands"):  # such as `handfast ca issue`
        name, *rest = rest
        command = command.commands[name]
    context = command.make_context(name, rest)
    given = context.params
    if name not in ("connect", "serve"):
        context.close()
        return
    groups, suites = (tuple(map(names.group, given.get(option) or ())) for option in ("group", "suite"))
    versions = names.versions(tuple(",".join(given["tls"] or ()).split(",")) if given["tls"] else (), groups, suites)
    if name == "connect":
        address(given["target"])
        ClientConfig(verifier=NoVerification(), **versions, groups=groups or None, cipher_suites=suites or None)
    context.close()


@pytest.mark.parametrize(("place", "line"), [pair for pair in ALL if pair[1][0] == "handfast"], ids=str)
def test_the_parser_takes_it(place: str, line: list[str]) -> None:
    parse(line[1:])


@pytest.mark.parametrize(
    "line", ["connect", "connect example.com --gone", "serve --port many", "connect example.com --reconnect -1"]
)
def test_what_the_parser_does_not_take_is_noticed(line: str) -> None:
    with pytest.raises(Exception) as caught:
        parse(line.split())
    assert getattr(caught.value, "exit_code", None) == 2


def test_other_commands_are_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for place, (program, *rest) in ALL:
        if program == "make":
            assert not rest or "=" in rest[0] or rest[0] in targets, place
        if program == "pip":
            wanted = re.findall(r"\[(\w+)\]", " ".join(rest))
            assert set(wanted) <= set(extras), place
        if program.startswith("python") and rest[:1] == ["-m"]:
            assert importlib.util.find_spec(rest[1]), place
    assert {program for _, (program, *_) in ALL} >= {"handfast", "make", "pip"}


@pytest.mark.parametrize("name", ["connect", "serve", "cert show", "cert verify"])
def test_every_option_has_its_line(name: str) -> None:
    """docs/command-line.md has a table of each command's options: all of them, and no others."""
    text = (ROOT / "docs" / "command-line.md").read_text("utf-8")
    section = text.split(f"\n## handfast {name}")[1].split("\n## ")[0]
    rows = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `-")]
    documented = {option for row in rows for option in re.findall(r"--[a-z][a-z-]*", row)}
    command: Any = PARSER
    for word in name.split():
        command = command.commands[word]
    known = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
    assert documented == known - {"--help"}


@pytest.mark.parametrize("name", sorted(PARSER.commands["ca"].commands))
def test_every_option_of_ca_has_its_line(name: str) -> None:
    """docs/authority.md, likewise."""
    text = (ROOT / "docs" / "authority.md").read_text("utf-8")
    section = text.split("## The options")[1].split(f"\n### {name}\n")[1].split("\n## ")[0].split("\n### ")[0]
    rows = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `-")]
    documented = {option for row in rows for option in re.findall(r"--[a-z][a-z0-9-]*", row)}
    known = {option for parameter in PARSER.commands["ca"].commands[name].params for option in parameter.opts}
    assert documented == {option for option in known if option.startswith("--")} - {"--help"}
