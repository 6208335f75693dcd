"""The documents' programs run: each block of Python, in its order, against servers on loopback.

The blocks of a page share their names, as for somebody who reads it from the top. Nothing is left out but what NOT_RUN names.
"""

from __future__ import annotations

import ast
import asyncio
import gc
import inspect
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import handfast
from handfast.testing import Authority
from tests.docs.pages import PAGES, ROOT, Block, blocks, named
from tests.docs.standins import World, world
from tests.interop.processes import free_port

# Blocks that do not run, by the page and the words that they begin with, and why.
NOT_RUN = {
    ("docs/architecture.md", "extensions = yield from"): "lines of a script: what they stand for is client13.py",
    (
        "docs/keys.md",
        "from handfast import Identity\nfrom handfast.signers import Pkcs11",
    ): "tests/keys has the token for it",
}

# What a page speaks of without showing where it comes from.
GIVEN: dict[str, Callable[[World], dict[str, Any]]] = {
    "docs/sessions.md": lambda here: {
        "identity": here.identity,
        "secret": secrets.token_bytes(32),
        "harmless_answer": lambda line: line,
    },
}

# What a page's programs print, or else it has not shown what it says.
PRINTED = {
    "README.md": ["TLSv1.3", "200 OK", "True Resumption(by='ticket'", "Connection: close"],
    "docs/certificate-errors.md": ["certificate_expired", "has to renew it", "expired_for"],
    "docs/ssl-module.md": ["<Response [200 OK]>", "x25519", "EncryptedExtensions", "\n1\n"],
    "docs/streams.md": ["TLSv1.3"],
    "docs/testing.md": ["('spiffe://example.org/web',)", "missing_intermediate missing_intermediate"],
}


def python_blocks(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language == "python"]


WITH_PYTHON = [page for page in PAGES if python_blocks(page)]


def reason_not_to_run(block: Block) -> str | None:
    begins = (text for (page, text) in NOT_RUN if page == named(block.page) and block.code.startswith(text))
    return next((NOT_RUN[named(block.page), text] for text in begins), None)


def run(block: Block, names: dict[str, Any]) -> None:
    """Execute a block; errors have the page's own lines. ``await`` may stand at its top."""
    code = "\n" * (block.line - 1) + block.code.replace("8443", str(free_port()))
    done = eval(compile(code, named(block.page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    if inspect.iscoroutine(done):

        async def finish() -> None:
            await done
            for server in [value for value in names.values() if isinstance(value, asyncio.Server)]:
                server.close()
                await server.wait_closed()

        asyncio.run(finish())


def tidy(names: dict[str, Any]) -> None:
    """Close what a program leaves to its end."""
    for value in names.values():
        if isinstance(value, (socket.socket, handfast.TLSSocket)):
            value.close()
    names.clear()
    gc.collect()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # a page need not close all that it opens: its program ends
@pytest.mark.parametrize("page", WITH_PYTHON, ids=named)
def test_the_programs_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with world(tmp_path, monkeypatch) as here:
        names: dict[str, Any] = {"__name__": "document", **GIVEN.get(named(page), lambda _: {})(here)}
        try:
            for block in python_blocks(page):
                if reason_not_to_run(block) is None:
                    run(block, names)
        finally:
            tidy(names)
    gc.collect()  # what visitors had held: its warnings belong here, and not to the test that comes next
    printed = capsys.readouterr().out
    for words in PRINTED.get(named(page), []):
        assert words in printed
    served = sum(
        block.code.count(words)
        for block in python_blocks(page)
        for words in ("serve(", "serve_forever(", "uvicorn.run(")
    )
    assert len(here.visits) == served
    assert all(answer for answer in here.visits)


def test_what_is_not_run_is_there_and_speaks_of_what_is_there() -> None:
    from handfast.handshake import flow
    from handfast.wire import messages13

    found = {
        (page, text)
        for page, text in NOT_RUN
        if any(block.code.startswith(text) for block in python_blocks(ROOT / page))
    }
    assert found == set(NOT_RUN)
    assert flow.expect
    assert flow.Sign
    assert messages13.EncryptedExtensions


def test_a_program_that_fails_is_noticed_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.docs.pages.ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("text\n\n```python\nimport handfast\nhandfast.gone\n```\n")
    with pytest.raises(AttributeError) as caught:
        run(python_blocks(page)[0], {})
    assert any(entry.frame.code.raw.co_filename == "page.md" and entry.lineno == 4 for entry in caught.traceback)


def test_who_has_a_key_from_outside_is_asked_for_no_certificate() -> None:
    """docs/sessions.md, "Keys from outside": and nobody's check_peer is called."""

    def check_peer(peer: object) -> None:
        raise AssertionError(f"called with {peer}")

    authority = Authority.create()
    key = {"identity": b"meter", "key": secrets.token_bytes(32)}
    ours, theirs = (handfast.ExternalPsk.imported(**key, role=role) for role in ("client", "server"))
    client = handfast.ClientConnection(
        handfast.ClientConfig(trust=authority.trust, psks=[ours], check_peer=check_peer), server_name="localhost"
    )
    server = handfast.ServerConnection(
        handfast.ServerConfig(
            identities=[authority.issue("localhost")],
            psks={theirs.identity: theirs},
            client_authentication="optional",
            client_trust=authority.trust,
            check_peer=check_peer,
        )
    )
    client.start()
    server.start()
    for _ in range(3):
        server.receive_data(client.data_to_send())
        list(server.events())
        client.receive_data(server.data_to_send())
        list(client.events())
    for side in (client, server):
        assert side.handshake is not None
        assert side.handshake.resumed
        assert side.handshake.peer is None
