"""nginx, as a server."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.interop import http
from tests.interop.credentials import OTHER_NAMES
from tests.interop.features import ALL_SUITES_12, CCM, CCM_8, CLASSICAL, ECDSA, EDWARDS, RSA, SUITES, Abilities, both
from tests.interop.peer import Peer, Running, Setup, alert_of, said
from tests.interop.peers.openssl3 import ciphers, suite_named
from tests.interop.processes import Program, free_port
from tests.peers import require_peer

if TYPE_CHECKING:
    from handfast import TLSSocket
    from tests.interop.credentials import Credentials

_GROUPS = {
    "x25519": "X25519",
    "secp256r1": "prime256v1",
    "secp384r1": "secp384r1",
    "secp521r1": "secp521r1",
    "x448": "X448",
}

_CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr info;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/bodies;
  proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  client_max_body_size 4m;
  ssl_protocols {protocols};
  {settings}
{servers}
  server {{ listen unix:{folder}/sink; location / {{ return 200; }} }}
}}
"""
_SERVER = """
  server {{
    listen 127.0.0.1:{port} ssl;
    server_name {name};
    ssl_certificate {files.chain};
    ssl_certificate_key {files.key};
    location = /facts {{ return 200 "$ssl_protocol $ssl_cipher $ssl_curve $ssl_server_name $ssl_alpn_protocol"; }}
    location = /session {{ return 200 "$ssl_session_reused $ssl_early_data"; }}
    location = /data {{ root {folder}; }}
    location = /store {{ client_body_in_file_only on; proxy_pass http://unix:{folder}/sink:/; }}
  }}
"""


class _Server(Running):
    def __init__(self, nginx: str, folder: Path, port: int, closes: bool) -> None:
        super().__init__(Program(nginx, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")), port)
        self._closes = closes
        self._folder = folder
        self._facts: dict[str, str] = {}

    def swap(self, tls: TLSSocket, data: bytes) -> tuple[bytes, bytes]:
        tls.sendall(http.request("GET", "/facts"))
        answer = http.read_message(tls)
        assert answer is not None
        names = ("version", "suite", "group", "server_name", "alpn")
        said = dict(zip(names, answer[1].decode().split(" "), strict=True))
        names_of_groups = {theirs: ours for ours, theirs in _GROUPS.items()}
        said["group"] = names_of_groups[said["group"]]
        said["suite"] = suite_named(said["suite"])
        self._facts = {key: value for key, value in said.items() if value}

        tls.sendall(http.request("POST", "/store", data))
        stored = http.read_message(tls)
        assert stored is not None
        assert stored[0].startswith("HTTP/1.1 200"), stored
        there = b"".join(path.read_bytes() for path in (self._folder / "bodies").rglob("*") if path.is_file())
        tls.sendall(http.request("GET", "/data"))
        answer = http.read_message(tls)
        assert answer is not None
        return there, answer[1]

    EARLY = http.request("GET", "/session")

    def visit(self, tls: TLSSocket) -> None:
        tls.sendall(self.EARLY)
        self.has_heard(tls)

    def has_heard(self, tls: TLSSocket) -> None:
        answer = http.read_message(tls)
        assert answer is not None
        assert answer[1].split()[0] == (b"r" if tls.handshake.resumed else b".")

    def facts(self) -> dict[str, str]:
        return self._facts

    def alert(self) -> int:
        self.program.wait_for("SSL alert number")
        return alert_of(self.program.text())

    def close(self, tls: TLSSocket | None) -> None:
        assert tls is not None
        tls.sendall(http.request("GET", "/facts", close=True))

    def ended(self) -> None:
        if not self._closes:
            self.program.wait_for(r"closed (keepalive )?connection")
        for word in ("[error]", "[crit]", "[alert]", "[emerg]", "SSL_"):
            assert word not in self.program.text()
        assert self.program.running

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        shutil.rmtree(self._folder)


class Nginx(Peer):
    name = "nginx"
    who = "facts, an upload and a download over one connection of handfast's client"
    as_server = both(
        Abilities(
            (*SUITES, CCM, CCM_8),
            (*CLASSICAL, "x448"),
            (*ECDSA, *RSA, *EDWARDS),
            lacks={
                "certificate required": "nginx goes on without one, and answers requests with HTTP's 400",
                "unknown client CA": "nginx goes on with it, and answers requests with HTTP's 400",
                "cookie": "nginx never sends one",
                "exporter": "nginx exports nothing",
                "exporter with a context": "nginx exports nothing",
                "tls-unique": "nginx does not show it",
                "key update by the peer": "nginx never changes its key",
                "renegotiation by the peer": "nginx never starts one",
                "record size limit of handfast": "OpenSSL has no RFC 8449",
                "record size limit of the peer": "OpenSSL has no RFC 8449",
                "resumption without key exchange": "nginx has no such option",
                "external key": "nginx has no such option",
            },
        ),
        ALL_SUITES_12,
    )
    answers_close = frozenset()

    def version(self) -> str:
        return said("nginx", "-v").split(": ")[1].strip().replace("/", " ")

    def serve(self, credentials: Credentials, setup: Setup) -> Running:
        nginx = require_peer("nginx")
        folder = Path(tempfile.mkdtemp(prefix="nginx-"))
        port = free_port()
        settings = []
        if setup.suites_13:
            settings.append(f"ssl_conf_command Ciphersuites {':'.join(setup.suites_13)};")
        if names := ciphers(setup):
            settings.append(f"ssl_ciphers {names};")
        if setup.order == "server":
            settings.append("ssl_prefer_server_ciphers on; ssl_conf_command Options PrioritizeChaCha;")
        if setup.groups:
            settings.append(f"ssl_ecdh_curve {':'.join(_GROUPS[group] for group in setup.groups)};")
        if setup.asks:
            verify = "on" if setup.asks == "required" else "optional"
            settings.append(f"ssl_verify_client {verify}; ssl_client_certificate {credentials.trusted_by(setup)};")
        if setup.padding:
            settings.append(f"ssl_conf_command RecordPadding {setup.padding};")
        if setup.connections > 1:
            tickets = "on" if setup.tickets else "off"
            settings.append(f"ssl_session_cache shared:sessions:1m; ssl_session_tickets {tickets};")
        if setup.early:
            settings.append("ssl_early_data on;")
        names = zip(("localhost", OTHER_NAMES[0]), credentials.servers(setup), strict=False)
        (folder / "data").write_bytes(setup.data)
        (folder / "nginx.conf").write_text(
            _CONFIGURATION.format(
                folder=folder,
                protocols=" ".join(f"TLSv{version}" for version in dict.fromkeys((setup.lowest, setup.highest))),
                settings=" ".join(settings),
                servers="".join(_SERVER.format(folder=folder, port=port, name=name, files=f) for name, f in names),
            )
        )
        return _Server(nginx, folder, port, setup.closes)
