"""Chromium without a window, as a client, told what to do by its DevTools protocol.

Starting a browser takes a second, so two are kept for all tests that want nothing special of them but a version, and each connection has a
browser context of its own: no cache, no sessions and no sockets are shared. Whom it trusts, and who it is, stands in an NSS
database in a home of its own, as it would for a user.
"""

from __future__ import annotations

import base64
import json
import os
import re
import select
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from tests.interop.features import HYBRID, SUITES, SUITES_12, VERSIONS, Abilities, both
from tests.interop.peer import (
    CERTIFICATE_REQUIRED,
    CERTIFICATE_UNKNOWN,
    HANDSHAKE_FAILURE,
    NO_APPLICATION_PROTOCOL,
    PROTOCOL_VERSION,
    UNKNOWN_CA,
    Peer,
    Running,
    Setup,
    said,
)
from tests.interop.peers.nss import make_database
from tests.interop.processes import PATIENCE
from tests.peers import missing, require_peer

if TYPE_CHECKING:
    from handfast import TLSSocket
    from tests.interop.credentials import Credentials, Files

_OPTIONS = (
    "--headless",
    "--no-sandbox",  # root has none
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--host-resolver-rules=MAP * 127.0.0.1",
    "--remote-debugging-pipe",
)
# By how keys are agreed, which has no name in TLS 1.3, and cipher.
_SUITES = {("", suite.removeprefix("TLS_").rpartition("_")[0]): suite for suite in SUITES}
_SUITES |= {tuple(suite[4:].rpartition("_")[0].split("_WITH_")): suite for suite in SUITES_12}
_GROUPS = {"X25519": "x25519", "P-256": "secp256r1", "P-384": "secp384r1"}
# How it reports the alerts that our tests send.
_ALERTS = {
    PROTOCOL_VERSION: "net::ERR_SSL_VERSION_OR_CIPHER_MISMATCH",
    HANDSHAKE_FAILURE: "net::ERR_BAD_SSL_CLIENT_AUTH_CERT",  # where it was asked for a certificate
    CERTIFICATE_REQUIRED: "net::ERR_BAD_SSL_CLIENT_AUTH_CERT",
    UNKNOWN_CA: "net::ERR_BAD_SSL_CLIENT_AUTH_CERT",
    NO_APPLICATION_PROTOCOL: "net::ERR_SSL_PROTOCOL_ERROR",
}
_CLOSED_MEANWHILE = "net::ERR_SOCKET_NOT_CONNECTED"
# A machine's policy, which here is seen by nobody but the browser: it shows its certificate without asking its user.
_POLICY = {"AutoSelectCertificateForUrls": ['{"pattern": "*", "filter": {}}']}
_WITH_POLICY = """
mount -t tmpfs none /etc/chromium && mkdir -p /etc/chromium/policies/managed || exit
cp "$POLICY" /etc/chromium/policies/managed/ || exit
"""
_POST = """
(async () => {
  const sent = Uint8Array.from(atob("%s"), (letter) => letter.charCodeAt(0));
  const response = await fetch("/%s", {method: "POST", body: sent});
  const back = new Uint8Array(await response.arrayBuffer());
  const parts = [];
  for (let at = 0; at < back.length; at += 8192) parts.push(String.fromCharCode(...back.subarray(at, at + 8192)));
  return btoa(parts.join(""));
})()
"""


def _own_mounts() -> list[str]:
    """What runs a program with mounts that nobody else sees: by root, and elsewhere by whoever may make namespaces."""
    for words in (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"]):
        if subprocess.run([*words, "true"], capture_output=True).returncode == 0:
            return words
    raise missing("a namespace for mounts, in which Chromium has a policy of its own, cannot be made on this machine")


class Start(NamedTuple):
    """A way to start it."""

    root: Path
    client: Files | None
    lowest: str
    highest: str


class Browser:
    """A browser that runs, and its DevTools protocol: JSON, each message ended by a zero byte."""

    def __init__(self, start: Start, folder: Path) -> None:
        make_database(folder / ".pki" / "nssdb", start.root, start.client)
        command = [require_peer("chromium"), *_OPTIONS, f"--user-data-dir={folder / 'profile'}"]
        command += [f"--ssl-version-min=tls{start.lowest}", f"--ssl-version-max=tls{start.highest}"]
        its_input, self._to = os.pipe()
        self._from, its_output = os.pipe()
        environment = {**os.environ, "HOME": str(folder), "IN": str(its_input), "OUT": str(its_output)}
        script = 'exec "$0" "$@" 3<&"$IN" 4>&"$OUT"'
        around = ["bash", "-c"]  # sh need not know descriptors of two digits
        if start.client is not None:
            (folder / "policy.json").write_text(json.dumps(_POLICY))
            environment["POLICY"] = str(folder / "policy.json")
            script, around = _WITH_POLICY + script, [*_own_mounts(), *around]
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*around, script, *command, "about:blank"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                pass_fds=(its_input, its_output),
            )
        os.close(its_input)
        os.close(its_output)
        self._folder = folder
        self._numbers = 0
        self._received = b""
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Have something done, and wait for what comes of it."""
        self._numbers += 1
        message = {"id": self._numbers, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        data = memoryview(json.dumps(message).encode() + b"\0")
        while data:
            data = data[os.write(self._to, data) :]
        while True:
            answer = self._next()
            if answer.get("id") == self._numbers:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def wait_for(self, method: str, session: str) -> dict[str, Any]:
        """The first event of its kind in a session."""
        for event in self.events:
            if event.get("method") == method and event.get("sessionId") == session:
                parameters: dict[str, Any] = event["params"]
                return parameters
        self.events.append(self._next())
        return self.wait_for(method, session)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._from], [], [], PATIENCE)
            data = os.read(self._from, 1 << 20) if ready else b""
            assert data, f"the browser says nothing more:\n{(self._folder / 'log').read_text()[-2000:]}"
            self._received += data
        line, _, self._received = self._received.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        with suppress(AssertionError, OSError):
            self.call("Browser.close")
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._to)
        os.close(self._from)
        shutil.rmtree(self._folder, ignore_errors=True)


class _Page(Running):
    """A page of our server's, from which the browser sends requests.

    ``kept``  whether the browser is for others too, and goes on running
    """

    def __init__(self, browser: Browser, setup: Setup, port: int, *, kept: bool) -> None:
        self._kept = kept
        self.port = port
        self._alpn = bool(setup.alpn)
        self._address = f"https://{setup.name}:{port}/"
        self._browser = browser
        browser.events.clear()
        self._context = browser.call("Target.createBrowserContext")["browserContextId"]
        target = browser.call("Target.createTarget", url="about:blank", browserContextId=self._context)["targetId"]
        self._session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Network", "Page"):
            browser.call(f"{domain}.enable", self._session)
        self._response: dict[str, Any] | None = None
        self._error: str | None = None

    def _open(self) -> None:
        if self._response is None and self._error is None:
            self._error = self._browser.call("Page.navigate", self._session, url=self._address).get("errorText")
            if self._error is None:
                self._response = self._browser.wait_for("Network.responseReceived", self._session)
                self._browser.wait_for("Page.loadEventFired", self._session)
        assert self._error is None, self._error

    def _post(self, path: str, data: bytes) -> bytes:
        script = _POST % (base64.b64encode(data).decode(), path)
        done = self._browser.call("Runtime.evaluate", self._session, expression=script, awaitPromise=True)
        assert "exceptionDetails" not in done, done
        return base64.b64decode(done["result"]["value"])

    def facts(self) -> dict[str, str]:
        assert self._response is not None
        response = self._response["response"]
        details = response["securityDetails"]
        facts = {
            "version": details["protocol"].replace("TLS ", "TLSv"),
            "suite": _SUITES[details["keyExchange"], details["cipher"]],
            "group": _GROUPS.get(details["keyExchangeGroup"], details["keyExchangeGroup"]),
        }
        return facts | ({"alpn": response["protocol"]} if self._alpn else {})

    def check_alert(self, number: int) -> None:
        # In TLS 1.3 its handshake is over before our alert comes. If that is before it uses the connection, it finds a
        # socket that is closed, and says no more. What our side has sent the test knows.
        late = {_CLOSED_MEANWHILE} if number in (CERTIFICATE_REQUIRED, UNKNOWN_CA) else set()
        assert self._error in {_ALERTS[number], *late}

    def echo(self, data: bytes) -> bytes:
        self._open()
        return self._post("", data)

    def greeting(self) -> bytes:
        self._open()
        assert self._response is not None
        body = self._browser.call("Network.getResponseBody", self._session, requestId=self._response["requestId"])
        return base64.b64decode(body["body"]) if body["base64Encoded"] else body["body"].encode()

    def shaken(self) -> None:
        with suppress(AssertionError):
            self._open()

    def close(self, tls: TLSSocket | None) -> None:
        """It closes without close_notify, so our server does it for both when it is asked to."""
        self._post("close", b"")

    def ended(self) -> None:
        assert self._error is None

    def refused(self) -> None:
        assert self._error == "net::ERR_CERT_AUTHORITY_INVALID"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            error.add_note(f"Chromium: {self._error}; {self._response}")
        if self._kept:
            self._browser.call("Target.disposeBrowserContext", browserContextId=self._context)
        else:
            self._browser.close()


class Chromium(Peer):
    name = "chromium"
    who = "without a window; its DevTools protocol opens a page and posts from there"
    as_client = both(
        Abilities(
            SUITES,
            (HYBRID, "x25519", "secp256r1", "secp384r1"),
            ("p256", "p384", "rsa2048"),
            ("p256", "rsa2048"),  # each one is a start of the browser
            lacks={
                "the peer knows TLS 1.1 alone": "Chromium knows TLS 1.2 and 1.3 alone",
                "the client comes again with TLS 1.2": "Chromium never does",
                "ChaCha20 first": "Chromium has an order of its own",
                "no middlebox compatibility": "Chromium always looks like TLS 1.2",
                "exporter": "Chromium exports nothing",
                "exporter with a context": "Chromium exports nothing",
                "tls-unique": "Chromium does not show it",
                "key update by the peer": "Chromium never changes its key",
                "renegotiation by the peer": "Chromium never starts one",
                "record size limit of handfast": "Chromium has no RFC 8449",
                "record size limit of the peer": "Chromium has no RFC 8449",
                "padding by the peer": "Chromium pads nothing",
                "peer closes first": "Chromium closes without close_notify",
                "no common suite": "Chromium's suites cannot be limited",
                "no common group": "Chromium's groups cannot be limited",
            },
        ),
        SUITES_12,
    )
    limits = frozenset()
    unknown_ca = frozenset({CERTIFICATE_UNKNOWN, UNKNOWN_CA})
    answers_close = frozenset()
    asks_its_user = True
    protocol = "http"

    def __init__(self) -> None:
        self._browsers: dict[Start, Browser] = {}  # those that most tests share: one with TLS 1.3, one without

    def version(self) -> str:
        require_peer("certutil")
        found = re.search(r"Chromium [\d.]+", said("chromium", "--version"))
        assert found is not None
        return found[0]

    def connect(self, credentials: Credentials, setup: Setup, port: int) -> Running:
        start = Start(credentials.trusted_by(setup), credentials.client_of(setup), setup.lowest, setup.highest)
        kept = start in (Start(credentials.root, None, "1.2", highest) for highest in VERSIONS)
        if kept and start in self._browsers and self._browsers[start].running:
            return _Page(self._browsers[start], setup, port, kept=True)
        browser = Browser(start, Path(tempfile.mkdtemp(prefix="chromium-", dir=credentials.folder)))
        if kept:
            self._browsers[start] = browser
        return _Page(browser, setup, port, kept=kept)

    def finish(self) -> None:
        for browser in self._browsers.values():
            browser.close()
        self._browsers.clear()
