"""Examples as programs, and what they talk to."""

from __future__ import annotations

import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.sync.server import ServerConnection, serve

from handfast.testing import Authority
from tests.interop.processes import PATIENCE, Program, connected, free_port
from tests.peers import require_peer
from tests.starttls import servers

BODY = b"hello\n"


class Example:
    """One example. ``run`` gives what it prints; ``serving`` starts a server and gives its port."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._notes = folder / "notes"
        self._notes.touch()

    def _command(self, *arguments: object) -> list[str]:
        return [sys.executable, "-W", "error", "-m", "tests.examples.launch", self.name, *map(str, arguments)]

    @property
    def _environment(self) -> dict[str, str]:
        return {"HANDFAST_NOTES": str(self._notes), "PYTHONUNBUFFERED": "1"}

    @property
    def handshakes(self) -> list[list[str]]:
        """The handshakes that handfast has completed: side, version, group."""
        return [line.split() for line in self._notes.read_text().splitlines()]

    def run(self, *arguments: object) -> str:
        with Program(*self._command(*arguments), environment=self._environment) as program:
            code = program.wait()
            assert code == 0, f"exit code {code}"
            assert program.text() == ""  # no warning either
            return program.text("stdout")

    @contextmanager
    def failing(self, *arguments: object) -> Iterator[Program]:
        """Run it; it has to end with an error."""
        with Program(*self._command(*arguments), environment=self._environment) as program:
            assert program.wait() == 1
            yield program

    @contextmanager
    def serving(self, *arguments: object) -> Iterator[tuple[int, Program]]:
        port = free_port()
        certificate, key, *more = arguments
        command = self._command(certificate, key, port, *more)
        with Program(*command, environment=self._environment) as program:
            connected(port, program).close()
            yield port, program


@pytest.fixture
def example(tmp_path: Path) -> Callable[[str], Example]:
    return lambda name: Example(name, tmp_path)


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority.create("Examples CA")


@pytest.fixture(scope="session")
def files(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    certificate, key = authority.issue("localhost", "127.0.0.1").write(folder, "server")
    client, client_key = authority.issue("me.example", common_name="me", usage=("client",)).write(folder, "client")
    return {
        "ca": authority.write(folder),
        "certificate": certificate,
        "key": key,
        "client": client,
        "client_key": client_key,
    }


@pytest.fixture(scope="session")
def https(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """nginx, with HTTP/2: its port."""
    folder = tmp_path_factory.mktemp("nginx")
    port = free_port()
    temporary = "".join(
        f"{what}_temp_path {folder}/{what}; " for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(f"""
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr info;
events {{}}
http {{
  access_log off;
  {temporary}
  server {{
    listen 127.0.0.1:{port} ssl http2;
    ssl_certificate {files["certificate"]};
    ssl_certificate_key {files["key"]};
    ssl_protocols TLSv1.2 TLSv1.3;
    location / {{ default_type text/plain; return 200 "{BODY.decode().strip()}\\n"; }}
  }}
}}
""")
    nginx = require_peer("nginx")
    with Program(nginx, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")) as program:
        connected(port, program).close()
        yield port


@pytest.fixture
def websocket(files: dict[str, Path]) -> Iterator[int]:
    """An echo by websockets over ``ssl``: its port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files["certificate"], files["key"])

    def echo(socket: ServerConnection) -> None:
        for message in socket:
            socket.send(message)

    with serve(echo, "127.0.0.1", 0, ssl=context) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.socket.getsockname()[1]
        server.shutdown()
        thread.join(PATIENCE)


@pytest.fixture
def redis(files: dict[str, Path], tmp_path: Path) -> Iterator[int]:
    """Redis, over TLS alone: its port."""
    port = free_port()
    settings = {
        "bind": "127.0.0.1",
        "port": 0,
        "tls-port": port,
        "tls-cert-file": files["certificate"],
        "tls-key-file": files["key"],
        "tls-auth-clients": "no",
        "save": "",
        "dir": tmp_path,
    }
    options = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    with Program(require_peer("redis-server"), *options) as program:
        connected(port, program).close()
        yield port


@pytest.fixture
def mailboxes(authority: Authority) -> Iterator[dict[str, int]]:
    """Dovecot with a mailbox for everybody: its ports."""
    servers.need_root()
    ports = {"imap": free_port(), "pop3": free_port()}
    listeners = "".join(
        f"""
service {name}-login {{
  inet_listener {name} {{
    port = {port}
  }}
  inet_listener {name}s {{
    port = 0
  }}
}}"""
        for name, port in ports.items()
    )
    with servers.place(authority) as here:
        configuration = here.write(
            "dovecot.conf",
            f"""
base_dir = {here.folder}/run
state_dir = {here.folder}/state
log_path = /dev/stderr
listen = 127.0.0.1
protocols = imap pop3
ssl = required
ssl_cert = <{here.chain}
ssl_key = <{here.key}
mail_location = maildir:{here.made("mail", "nobody")}/%u
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={here.made("home", "nobody")}
}}
{listeners}
""",
        )
        for name in ("imap-login", "pop3-login"):
            require_peer(name)
        with Program(require_peer("dovecot"), "-F", "-c", str(configuration)) as program:
            for port in ports.values():
                connected(port, program).close()
            yield ports
