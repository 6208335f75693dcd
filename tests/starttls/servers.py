"""Real servers that begin in plain text, each with a configuration of its own in a temporary folder, on loopback.

The system's configuration, data and services are not touched.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from handfast.testing import Authority
from tests.interop.processes import PATIENCE, Program, connected, free_port
from tests.peers import missing, require_peer

NAME = "example.com"


class Place:
    """A folder for one server, with its certificate in it."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.folder = folder
        folder.chmod(0o755)  # servers run as users of their own
        self.chain, self.key = authority.issue(NAME, "localhost", "127.0.0.1").write(folder)
        self.key.chmod(0o644)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def made(self, name: str, user: str | None = None, mode: int = 0o755) -> Path:
        path = self.folder / name
        path.mkdir(mode=mode)
        if user is not None:
            shutil.chown(path, user)
        return path


@contextmanager
def place(authority: Authority) -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="starttls-", ignore_cleanup_errors=True) as folder:
        yield Place(Path(folder), authority)


def need_root() -> None:
    """Some servers give up root's rights, and so have to have them."""
    if os.getuid() != 0:
        raise missing("this server has to be started by root")


def as_user(user: str) -> list[str]:
    """What to put before a command, for it to run as another user, who must not be root."""
    need_root()
    entry = pwd.getpwnam(user)
    return [require_peer("setpriv"), f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]


@contextmanager
def exim(authority: Authority, tls: bool = True) -> Iterator[dict[str, int]]:
    need_root()
    program = require_peer("exim4")
    port = free_port()
    with place(authority) as here:
        for name in ("spool", "log"):
            here.made(name, "Debian-exim")
        configuration = here.write(
            "exim.conf",
            f"""
primary_hostname = {NAME}
spool_directory = {here.folder}/spool
log_file_path = {here.folder}/log/%slog
pid_file_path = {here.folder}/pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
tls_advertise_hosts = {"*" if tls else ""}
tls_certificate = {here.chain}
tls_privatekey = {here.key}
acl_smtp_rcpt = accept
""",
        )
        with Program(program, "-bdf", "-C", str(configuration)) as running:
            connected(port, running).close()
            yield {"smtp": port}


@contextmanager
def dovecot(authority: Authority, tls: bool = True) -> Iterator[dict[str, int]]:
    need_root()
    program = require_peer("dovecot")
    for part in ("imap-login", "pop3-login", "lmtp", "managesieve-login"):
        require_peer(part)
    ports = {name: free_port() for name in ("imap", "pop3", "lmtp", "sieve")}
    with place(authority) as here:
        configuration = here.write(
            "dovecot.conf",
            f"""
base_dir = {here.folder}/run
state_dir = {here.folder}/state
log_path = /dev/stderr
listen = 127.0.0.1
protocols = imap pop3 lmtp sieve
ssl = {"required" if tls else "no"}
ssl_cert = <{here.chain}
ssl_key = <{here.key}
mail_location = maildir:{here.folder}/mail/%u
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={here.folder}/home
}}
service imap-login {{
  inet_listener imap {{
    port = {ports["imap"]}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {ports["pop3"]}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {ports["lmtp"]}
  }}
}}
service managesieve-login {{
  inet_listener sieve {{
    port = {ports["sieve"]}
  }}
}}
""",
        )
        with Program(program, "-F", "-c", str(configuration)) as running:
            for port in ports.values():
                connected(port, running).close()
            yield ports


@contextmanager
def slapd(authority: Authority, tls: bool = True) -> Iterator[dict[str, int]]:
    program = require_peer("slapd")
    port = free_port()
    with place(authority) as here:
        configuration = here.write(
            "slapd.conf",
            f"""
pidfile {here.folder}/pid
argsfile {here.folder}/args
{f"TLSCertificateFile {here.chain}" if tls else ""}
{f"TLSCertificateKeyFile {here.key}" if tls else ""}
""",
        )
        with Program(program, "-d", "0", "-h", f"ldap://127.0.0.1:{port}", "-f", str(configuration)) as running:
            connected(port, running).close()
            yield {"ldap": port}


@contextmanager
def postgres(authority: Authority, tls: bool = True) -> Iterator[dict[str, int]]:
    """PostgreSQL does not run as root."""
    initdb = Path(require_peer("initdb")).resolve()
    port = free_port()
    user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    before = as_user(user) if os.getuid() == 0 else []
    with place(authority) as here:
        data = here.made("data", user, 0o700)
        command = [*before, str(initdb), "-D", str(data), "-A", "trust", "-U", "me", "--no-sync", "--no-locale"]
        subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE, cwd="/")
        shutil.chown(here.key, user)
        here.key.chmod(0o600)
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "ssl": "on" if tls else "off",
            "ssl_cert_file": here.chain,
            "ssl_key_file": here.key,
            "fsync": "off",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        with Program(*before, str(initdb.parent / "postgres"), "-D", str(data), "-p", str(port), *options) as running:
            running.wait_for("ready to accept connections")
            yield {"postgres": port}


@contextmanager
def mariadb(authority: Authority, tls: bool = True) -> Iterator[dict[str, int]]:
    program = require_peer("mariadbd")
    port = free_port()
    with place(authority) as here:
        before = as_user("mysql") if os.getuid() == 0 else []
        data = here.made("data", "mysql" if before else None)
        with Program(
            *before,
            program,
            "--no-defaults",
            f"--datadir={data}",
            f"--socket={data}/socket",
            f"--pid-file={data}/pid",
            "--bind-address=127.0.0.1",
            f"--port={port}",
            "--skip-grant-tables",
            "--skip-innodb",
            "--default-storage-engine=MyISAM",
            *([f"--ssl-cert={here.chain}", f"--ssl-key={here.key}"] if tls else ["--skip-ssl"]),
        ) as running:
            connected(port, running).close()
            yield {"mysql": port}


@contextmanager
def prosody(authority: Authority, tls: bool = True) -> Iterator[dict[str, int]]:
    program = require_peer("prosody")
    before = as_user("prosody") if os.getuid() == 0 else []
    ports = {"xmpp": free_port(), "xmpp-server": free_port()}
    with place(authority) as here:
        data = here.made("data", "prosody" if before else None)
        configuration = here.write(
            "prosody.cfg.lua",
            f"""
pidfile = "{data}/pid"
data_path = "{data}"
log = {{ {{ levels = {{ min = "info" }}, to = "console" }} }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {ports["xmpp"]} }}
s2s_ports = {{ {ports["xmpp-server"]} }}
c2s_direct_tls_ports = {{}}
s2s_direct_tls_ports = {{}}
http_ports = {{}}
https_ports = {{}}
modules_enabled = {{ {'"tls", ' if tls else ""}"saslauth", "roster", "disco", "dialback" }}
modules_disabled = {{ "posix"{"" if tls else ', "tls"'} }}
authentication = "internal_hashed"
c2s_require_encryption = {str(tls).lower()}
s2s_require_encryption = {str(tls).lower()}
ssl = {{ certificate = "{here.chain}"; key = "{here.key}" }}
VirtualHost "{NAME}"
""",
        )
        with Program(*before, program, "--config", str(configuration), "-F") as running:
            for port in ports.values():
                connected(port, running).close()
            yield ports


@contextmanager
def vsftpd(authority: Authority, tls: bool = True) -> Iterator[dict[str, int]]:
    need_root()
    program = require_peer("vsftpd")
    port = free_port()
    with place(authority) as here:
        empty, files = here.made("empty"), here.made("files")
        (files / "hello.txt").write_text("hello\n")
        configuration = here.write(
            "vsftpd.conf",
            f"""
background=NO
listen=YES
listen_address=127.0.0.1
listen_port={port}
anonymous_enable=YES
anon_root={files}
secure_chroot_dir={empty}
seccomp_sandbox=NO
xferlog_enable=NO
ssl_enable={"YES" if tls else "NO"}
allow_anon_ssl=YES
force_anon_logins_ssl={"YES" if tls else "NO"}
force_anon_data_ssl={"YES" if tls else "NO"}
require_ssl_reuse=NO
ssl_ciphers=HIGH
rsa_cert_file={here.chain}
rsa_private_key_file={here.key}
""",
        )
        with Program(program, str(configuration)) as running:
            connected(port, running).close()
            yield {"ftp": port}


@contextmanager
def nnrpd(authority: Authority, tls: bool = True) -> Iterator[dict[str, int]]:
    program = require_peer("nnrpd")
    before = as_user("news") if os.getuid() == 0 else []
    port = free_port()
    with place(authority) as here:
        for name in ("db", "spool", "run", "log", "tmp", "spool/articles", "spool/overview"):
            here.made(name, "news" if before else None)
        if before:
            shutil.chown(here.key, "news")
        here.key.chmod(0o600)
        here.write(
            "readers.conf",
            'auth "all" {\n  hosts: "*"\n  default: "<anonymous>"\n}\naccess "all" {\n  users: "*"\n  newsgroups: "*"\n}\n',
        )
        here.write("storage.conf", "method tradspool {\n  newsgroups: *\n  class: 0\n}\n")
        here.write("db/active", "control 0000000000 0000000001 n\njunk 0000000000 0000000001 n\n")
        here.write("db/newsgroups", "junk\tUnfiled articles\n")
        configuration = here.write(
            "inn.conf",
            f"""
domain: {NAME}
fromhost: {NAME}
pathhost: {NAME}
mta: "/bin/true"
hismethod: hisv6
enableoverview: true
ovmethod: tradindexed
runasuser: news
runasgroup: news
pathnews: {here.folder}
pathbin: {Path(program).parent}
pathetc: {here.folder}
pathdb: {here.folder}/db
pathspool: {here.folder}/spool
pathrun: {here.folder}/run
pathlog: {here.folder}/log
pathtmp: {here.folder}/tmp
{f"tlscertfile: {here.chain}" if tls else ""}
{f"tlskeyfile: {here.key}" if tls else ""}
""",
        )
        makehistory = [*before, str(Path(program).parent / "makehistory"), "-O", "-x"]  # an overview without articles
        environment = {"INNCONF": str(configuration)}
        subprocess.run(makehistory, env={**os.environ, **environment}, capture_output=True, timeout=PATIENCE, cwd="/")
        with Program(
            *before, program, "-D", "-f", "-b", "127.0.0.1", "-p", str(port), environment=environment
        ) as running:
            connected(port, running).close()
            yield {"nntp": port}


SERVERS = {
    "exim": (exim, ("smtp",)),
    "dovecot": (dovecot, ("imap", "pop3", "lmtp", "sieve")),
    "slapd": (slapd, ("ldap",)),
    "postgres": (postgres, ("postgres",)),
    "mariadb": (mariadb, ("mysql",)),
    "prosody": (prosody, ("xmpp", "xmpp-server")),
    "vsftpd": (vsftpd, ("ftp",)),
    "nnrpd": (nnrpd, ("nntp",)),
}
