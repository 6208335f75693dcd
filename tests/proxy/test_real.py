"""Real proxies: tinyproxy for HTTP, behind OpenSSL for https, and microsocks for SOCKS5."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from handfast import ConnectionFailed, Proxy, TLSError, connect, reasons
from handfast.errors import UnknownIssuer
from handfast.testing import Authority
from tests.cli.running import handfast as command
from tests.handshake.parties import authority, client_config, fails
from tests.interop.processes import free_port
from tests.proxy.conftest import Visit
from tests.proxy.proxies import ENCODED, PASSWORD, USER, echoing, microsocks, over_tls, tinyproxy


def test_http(visit: Visit, tmp_path: Path) -> None:
    with echoing() as port, tinyproxy(tmp_path) as proxy:
        assert visit(port, f"http://127.0.0.1:{proxy}") == b"ping"


def test_http_with_user_and_password(visit: Visit, tmp_path: Path) -> None:
    with echoing() as port, tinyproxy(tmp_path, credentials=True) as proxy:
        assert visit(port, f"http://{USER}:{PASSWORD}@localhost:{proxy}/") == b"ping"


def test_https_is_tls_inside_tls(visit: Visit, tmp_path: Path) -> None:
    with echoing() as port, tinyproxy(tmp_path) as plain, over_tls(plain, tmp_path) as proxy:
        way = Proxy(f"https://localhost:{proxy}", config=client_config())
        assert visit(port, way) == b"ping"
        assert visit(port, way, host="127.0.0.1") == b"ping"


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_socks(visit: Visit, scheme: str, host: str) -> None:
    with echoing() as port, microsocks() as proxy:
        assert visit(port, f"{scheme}://127.0.0.1:{proxy}", host=host) == b"ping"


def test_socks_with_user_and_password(visit: Visit) -> None:
    with echoing() as port, microsocks(credentials=True) as proxy:
        assert visit(port, f"socks5h://{USER}:{PASSWORD}@127.0.0.1:{proxy}") == b"ping"


def test_many_bytes_through_tls_inside_tls(tmp_path: Path) -> None:
    data = bytes(range(256)) * 4_000
    with echoing() as port, tinyproxy(tmp_path) as plain, over_tls(plain, tmp_path) as proxy:
        way = Proxy(f"https://localhost:{proxy}", config=client_config())
        with connect("localhost", port, config=client_config(), proxy=way) as tls:
            tls.sendall(data)
            got = b""
            while len(got) < len(data):
                got += tls.recv()
            assert got == data


# --- refused ---------------------------------------------------------------------------------------------------------


def test_a_port_that_the_proxys_rules_do_not_allow(visit: Visit, tmp_path: Path) -> None:
    with tinyproxy(tmp_path, "ConnectPort 443") as proxy, fails(ConnectionFailed, reasons.PROXY_REFUSED) as caught:
        visit(8443, f"http://127.0.0.1:{proxy}")
    assert caught.value.evidence["status"] == 403
    assert caught.value.evidence["proxy"] == f"http://127.0.0.1:{proxy}"


@pytest.mark.parametrize("credentials", ["", f"{USER}:wr0ng-Pass@"])
def test_no_or_wrong_credentials(visit: Visit, tmp_path: Path, credentials: str) -> None:
    proxies = tinyproxy(tmp_path, credentials=True)
    with proxies as proxy, fails(ConnectionFailed, reasons.PROXY_AUTHENTICATION) as caught:
        visit(8443, f"http://{credentials}127.0.0.1:{proxy}")
    assert caught.value.evidence["status"] in (401, 407)
    assert "wr0ng" not in f"{caught.value}{caught.value.evidence}"


@pytest.mark.parametrize("credentials", ["", f"{USER}:wr0ng-Pass@"])
def test_no_or_wrong_credentials_for_socks(visit: Visit, credentials: str) -> None:
    with microsocks(credentials=True) as proxy, fails(ConnectionFailed, reasons.PROXY_AUTHENTICATION) as caught:
        visit(8443, f"socks5://{credentials}127.0.0.1:{proxy}")
    assert "wr0ng" not in f"{caught.value}{caught.value.evidence}"


def test_a_server_that_is_not_there(visit: Visit, tmp_path: Path) -> None:
    nobody = free_port()
    with tinyproxy(tmp_path) as proxy, fails(ConnectionFailed, reasons.PROXY_CANNOT_REACH) as caught:
        visit(nobody, f"http://127.0.0.1:{proxy}")
    assert caught.value.evidence["status"] >= 500
    with microsocks() as proxy, fails(ConnectionFailed, reasons.PROXY_CANNOT_REACH) as caught:
        visit(nobody, f"socks5://127.0.0.1:{proxy}")
    assert caught.value.evidence["code"] == 5


@pytest.mark.parametrize("scheme", ["http", "https", "socks5", "socks5h"])
def test_a_proxy_that_is_not_there(visit: Visit, scheme: str) -> None:
    url = f"{scheme}://127.0.0.1:{free_port()}"
    with fails(ConnectionFailed, reasons.CONNECTION_FAILED) as caught:
        visit(8443, url)
    assert caught.value.evidence["proxy"] == url


def test_a_socks_proxy_for_a_name_that_nobody_has(visit: Visit) -> None:
    with microsocks() as proxy, fails(ConnectionFailed, reasons.CONNECTION_FAILED):
        visit(443, f"socks5://127.0.0.1:{proxy}", host="nowhere.invalid")


def test_a_proxy_of_the_other_kind(visit: Visit, tmp_path: Path) -> None:
    with microsocks() as proxy, pytest.raises(ConnectionFailed) as caught:
        visit(8443, f"http://127.0.0.1:{proxy}")
    assert caught.value.reason in (reasons.PROXY_BAD_ANSWER, reasons.PROXY_CLOSED)
    with tinyproxy(tmp_path) as proxy, fails(ConnectionFailed, reasons.PROXY_TIMEOUT):
        visit(8443, f"socks5://127.0.0.1:{proxy}", seconds=0.5)  # it waits for the end of our request


def test_an_https_proxy_has_to_prove_who_it_is(visit: Visit, tmp_path: Path) -> None:
    with tinyproxy(tmp_path) as plain, over_tls(plain, tmp_path) as proxy:
        way = Proxy(f"https://localhost:{proxy}", config=client_config(trust=Authority.create().trust))
        with fails(UnknownIssuer, reasons.UNKNOWN_ISSUER) as caught:
            visit(8443, way)
        assert caught.value.evidence["proxy"] == f"https://localhost:{proxy}"


def test_a_proxy_that_is_no_tls_server(visit: Visit, tmp_path: Path) -> None:
    with tinyproxy(tmp_path) as plain, pytest.raises(TLSError) as caught:
        visit(8443, Proxy(f"https://localhost:{plain}", config=client_config(handshake_timeout=0.5)))
    assert caught.value.evidence["proxy"] == f"https://localhost:{plain}"


def test_the_servers_certificate_is_the_servers(visit: Visit, tmp_path: Path) -> None:
    """Who is trusted as a proxy says nothing about the server."""
    with echoing() as port, tinyproxy(tmp_path) as plain, over_tls(plain, tmp_path) as proxy:
        way = Proxy(f"https://localhost:{proxy}", config=client_config())
        with fails(UnknownIssuer, reasons.UNKNOWN_ISSUER) as caught:
            visit(port, way, trust=Authority.create().trust)
        assert "proxy" not in caught.value.evidence


# --- secrets, and the environment ------------------------------------------------------------------------------------


def test_the_password_is_shown_nowhere(visit: Visit, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ways: list[tuple[str, Callable[..., Any]]] = [("http", lambda: tinyproxy(tmp_path)), ("socks5", microsocks)]
    for scheme, start in ways:
        with start(credentials=False) if scheme == "socks5" else start() as proxy:
            way = Proxy(f"{scheme}://{USER}:{PASSWORD}@127.0.0.1:{proxy}")
            with pytest.raises(TLSError) as caught:
                visit(free_port(), way)
        error: BaseException | None = caught.value
        texts = [repr(way), str(way), caplog.text]
        while error is not None:
            texts += [str(error), repr(error), repr(getattr(error, "evidence", ""))]
            error = error.__cause__ or error.__context__
        for text in texts:
            for secret in (USER, PASSWORD, ENCODED):
                assert secret not in text


def test_the_environment_is_not_looked_at_unless_asked(
    visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [*os.environ]:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{free_port()}")
    with echoing() as port, tinyproxy(tmp_path) as proxy:
        assert visit(port, None) == b"ping"
        with fails(ConnectionFailed, reasons.CONNECTION_FAILED):
            visit(port, "environment")
        monkeypatch.setenv("https_proxy", f"127.0.0.1:{proxy}")  # curl takes that for http too
        assert visit(port, "environment") == b"ping"
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{free_port()}")
        monkeypatch.setenv("no_proxy", "localhost")
        assert visit(port, "environment") == b"ping"


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_line(tmp_path: Path) -> None:
    ca = authority().write(tmp_path)
    with echoing() as port, tinyproxy(tmp_path, credentials=True) as proxy:
        url = f"http://{USER}:{PASSWORD}@127.0.0.1:{proxy}"
        run = command("connect", f"localhost:{port}", "--ca", ca, "--proxy", url)
        assert run.returncode == 0, run.stderr
        assert PASSWORD.encode() not in run.stdout + run.stderr
        run = command("connect", f"localhost:{port}", "--ca", ca, "--proxy", f"http://127.0.0.1:{proxy}")
        assert run.returncode == 3
        assert b"407" in run.stderr
        run = command("connect", f"localhost:{port}", "--ca", ca, "--proxy", f"{USER}:{PASSWORD}@127.0.0.1:{proxy}")
        assert run.returncode == 2
        assert PASSWORD.encode() not in run.stdout + run.stderr


def test_the_command_line_trusts_an_https_proxy_by_roots_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca = authority().write(tmp_path)
    other = Authority.create("of nobody").write(tmp_path, "other")
    with echoing() as port, tinyproxy(tmp_path) as plain, over_tls(plain, tmp_path) as proxy:
        way = ["--proxy", f"https://localhost:{proxy}"]
        target = ["connect", f"localhost:{port}", "--ca", ca]
        assert command(*target, *way, "--proxy-ca", ca).returncode == 0
        for trusting in ([], ["--proxy-ca", other]):
            run = command(*target, *way, *trusting)
            assert run.returncode == 1
            assert b"--proxy-ca FILE" in run.stderr
        monkeypatch.setenv("https_proxy", f"https://localhost:{proxy}")
        assert command(*target, "--proxy", "environment", "--proxy-ca", ca).returncode == 0
        run = command(*target, "--proxy", f"http://127.0.0.1:{plain}", "--proxy-ca", ca)
        assert (run.returncode, b"is for https proxies" in run.stderr) == (2, True)
        run = command(*target, "--proxy-ca", ca)
        assert (run.returncode, b"means nothing without --proxy" in run.stderr) == (2, True)
