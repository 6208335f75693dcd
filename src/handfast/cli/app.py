"""The commands and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

import handfast
from handfast.cli import ca as ca_commands
from handfast.cli import cert as cert_commands
from handfast.cli.listed import listed

app = typer.Typer(
    name="handfast",
    help="TLS handshakes, in full view.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(ca_commands.app)
app.add_typer(cert_commands.app)

_EXIT = (
    "Exit code: 0 if all went well; 1 if the handshake was refused or failed, or the connection broke; 2 if something in "
    "the call is wrong, or a file cannot be used; 3 if there is no connection; 130 after Ctrl-C."
)


# The panels of `handfast connect --help`.
_SERVER, _OFFER, _THEN, _SHOWN = "Who the server has to be", "What is offered", "After the handshake", "Other"
_US, _AGAIN = "Who we are", "Coming back"


class _Listing(TyperCommand):
    """A command whose help lists what handfast knows: asked for when it is shown, since that loads the cryptography."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Fill in the names, then show it as always."""
        from handfast.cli import names

        for parameter in self.params:
            text = getattr(parameter, "help", None)
            if text:
                text = text.replace("ALL_GROUPS", names.all_groups()).replace("ALL_SUITES", names.all_suites())
                text = text.replace("ALL_PROTOCOLS", names.all_protocols())
                setattr(parameter, "help", text)  # noqa: B010 - not every parameter has one, mypy knows
        super().format_help(ctx, formatter)


def _option(panel: str, metavar: str, text: str) -> Any:
    return typer.Option(metavar=metavar, rich_help_panel=panel, help=text)


def _flag(panel: str, name: str, text: str) -> Any:
    return typer.Option(name, metavar=" ", rich_help_panel=panel, help=text)


# Options whose help is long: _Listing fills in the names.
_Groups = Annotated[
    list[str] | None,
    _option(_OFFER, "NAME", "Groups for the key exchange: ALL_GROUPS; several with commas, the best first."),
]
_Suites = Annotated[list[str] | None, _option(_OFFER, "NAME", "Cipher suites, likewise: ALL_SUITES.")]
_Proxy = Annotated[
    str | None,
    _option(
        _SHOWN,
        "URL",
        "Connect through a proxy: http://, https://, socks5:// or socks5h://[USER:PASSWORD@]HOST[:PORT]; environment is "
        "what HTTPS_PROXY says.",
    ),
]
_ProxyCa = Annotated[
    list[Path] | None,
    _option(_SHOWN, "FILE", "Trust the roots in this file for the certificate of an https proxy. Repeatable."),
]
_ServerName = Annotated[str | None, _option(_SERVER, "NAME", "The name to ask for and to verify, if it is not HOST.")]
_Ca = Annotated[
    list[Path] | None, _option(_SERVER, "FILE", "Trust the roots in this file or folder, not the system's. Repeatable.")
]
_Relax = Annotated[list[str] | None, _option(_SERVER, "RULE", "Let a certificate break this rule; an error names it.")]
_KnownKeys = Annotated[
    list[Path] | None,
    _option(
        _SERVER,
        "FILE",
        "A list of keys that others have too, and that are refused: a file of KeyList.write, or a folder of badkeys. Repeatable.",
    ),
]
_Spiffe = Annotated[
    list[str] | None,
    _option(
        _SERVER,
        "RULE",
        "Who it has to be by its SPIFFE id, and not by its name: spiffe://example.org/db, or .../* for all below. "
        "Repeatable.",
    ),
]
_SpiffeTrust = Annotated[
    list[str] | None,
    _option(
        _SERVER,
        "DOMAIN=FILE",
        "Trust these roots for the SPIFFE ids of this domain, and for no others: in a file or folder. Repeatable.",
    ),
]
_Aia = Annotated[
    bool,
    _flag(
        _SERVER,
        "--aia",
        "Fetch intermediates that the server forgot, over HTTP, from the addresses that its certificates name.",
    ),
]
_AiaNetwork = Annotated[
    list[str] | None,
    _option(_SERVER, "NETWORK", "With --aia: fetch from this internal network too, such as 10.0.0.0/8. Repeatable."),
]
_NoVerify = Annotated[
    bool, _flag(_SERVER, "--no-verify", "Accept any certificate, of anybody. For looking at servers only.")
]
_Starttls = Annotated[
    str | None,
    _option(_SERVER, "PROTOCOL", "Speak this protocol first, and begin TLS by its command (STARTTLS): ALL_PROTOCOLS."),
]
_Versions = Annotated[list[str] | None, _option(_OFFER, "1.2,1.3", "Versions of TLS; both by default.")]
_Cert = Annotated[
    Path | None, _option(_US, "FILE", "The chain to show to a server that asks who we are, PEM; or PKCS#12.")
]
_Key = Annotated[
    str | None,
    _option(
        _US,
        "FILE",
        "The private key of --cert, PEM, if it is not in the same file; or a key in a token: pkcs11:... (RFC 7512).",
    ),
]
_Timeout = Annotated[
    float, _option(_SHOWN, "S", "Seconds for the TCP connection, for the handshake, and for each read.")
]
_PASSWORD = "The password of an encrypted key or PKCS#12 file, in the first line; asked for without it."  # noqa: S105
_PasswordFile = Annotated[Path | None, _option(_US, "FILE", _PASSWORD)]
_Keylog = Annotated[
    Path | None, _option(_SHOWN, "FILE", "Append the secrets of the connection, for Wireshark. Keep it private.")
]
_Session = Annotated[
    Path | None,
    _option(
        _AGAIN,
        "FILE",
        "Keep sessions in this file, and resume one: no certificate is sent then. It holds secrets, and is made readable "
        "for its owner alone.",
    ),
]
_EarlyData = Annotated[
    Path | None,
    _option(
        _AGAIN,
        "FILE",
        "Send this with the ClientHello, if the session allows it (0-RTT). Whoever records it can send it again: take what "
        "does no harm twice. What the server refuses is sent again after the handshake, and its answer goes to standard "
        "output.",
    ),
]
_Reconnect = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=0,
        max=1000,
        show_default=False,
        rich_help_panel=_AGAIN,
        help="Connect so many times again, and show what each connection took.",
    ),
]
_Exports = Annotated[
    list[str] | None,
    _option(
        _SHOWN,
        "LABEL:LENGTH",
        "Print so many bytes of keying material (RFC 5705), which are secret; or a channel binding: tls-exporter, "
        "tls-unique (TLS 1.2 alone), tls-server-end-point. Repeatable.",
    ),
]


_Get = Annotated[
    str | None, _option(_THEN, "PATH", "Send an HTTP GET; the body goes to standard output, the rest to error.")
]
_Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", metavar=" ", rich_help_panel=_SHOWN, help="Print errors only, and what --export asks for."
    ),
]
# Of `handfast serve`.
_ClientCa = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        help="Ask clients who they are: a certificate from the roots in this file or folder. Repeatable.",
    ),
]
_RelaxClients = Annotated[
    list[str] | None,
    typer.Option(metavar="RULE", help="Let clients' certificates break this rule; an error names it."),
]
_KnownKeysOfClients = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        help="A list of keys that others have too; clients with these are refused: a file of KeyList.write, or a folder of "
        "badkeys. Repeatable.",
    ),
]
_SpiffeOfClients = Annotated[
    list[str] | None,
    typer.Option(
        metavar="RULE",
        help="Of the clients with a certificate, take those with this SPIFFE id alone: spiffe://example.org/web, or "
        ".../* for all below. Repeatable.",
    ),
]
_SpiffeTrustOfClients = Annotated[
    list[str] | None,
    typer.Option(
        metavar="DOMAIN=FILE",
        help="Trust these roots for the SPIFFE ids of this domain, and for no others: in a file or folder. Asks clients who "
        "they are, as --client-ca does. Repeatable.",
    ),
]
_Store = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Share sessions with other servers: redis://, rediss:// (with TLS) or unix://."),
]
_StoreSecret = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="With --store: 32 random bytes, the same for all servers, that seal what lies there."
    ),
]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"handfast {handfast.__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", metavar=" ", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """TLS handshakes, in full view."""


@app.command(cls=_Listing, epilog=_EXIT)
def connect(  # noqa: PLR0913, PLR0917 - an option is a parameter: that is typer's way
    target: Annotated[
        str,
        typer.Argument(
            metavar="HOST[:PORT]",
            help="Whom to connect to. The port is 443 by default, or that of --starttls; [::1]:8443 has an IPv6 address.",
        ),
    ],
    servername: _ServerName = None,
    ca: _Ca = None,
    relax: _Relax = None,
    known_keys: _KnownKeys = None,
    spiffe: _Spiffe = None,
    spiffe_trust: _SpiffeTrust = None,
    aia: _Aia = False,
    aia_network: _AiaNetwork = None,
    no_verify: _NoVerify = False,
    cert: _Cert = None,
    key: _Key = None,
    password_file: _PasswordFile = None,
    alpn: Annotated[list[str] | None, _option(_OFFER, "A,B", "Application protocols, such as h2,http/1.1.")] = None,
    tls: _Versions = None,
    group: _Groups = None,
    suite: _Suites = None,
    get: _Get = None,
    output: Annotated[Path | None, _option(_THEN, "FILE", "With --get or --early-data: write the answer here.")] = None,
    pipe: Annotated[bool, _flag(_THEN, "--pipe", "Connect standard input and output to the server, like nc.")] = False,
    session: _Session = None,
    early_data: _EarlyData = None,
    reconnect: _Reconnect = 0,
    export: _Exports = None,
    json: Annotated[
        bool, _flag(_SHOWN, "--json", "Print one JSON object on standard output and nothing else, also on failure.")
    ] = False,
    quiet: _Quiet = False,
    keylog: _Keylog = None,
    timeout: _Timeout = 10.0,
    proxy: _Proxy = None,
    proxy_ca: _ProxyCa = None,
    starttls: _Starttls = None,
) -> None:
    """Shake hands with a server, and show the handshake message by message."""
    from handfast.cli.connect import Options, run

    options = Options(
        target=target,
        server_name=servername,
        ca=tuple(ca or ()),
        relax=listed("--relax", relax),
        known_keys=tuple(known_keys or ()),
        spiffe=listed("--spiffe", spiffe),
        spiffe_trust=tuple(spiffe_trust or ()),
        aia=aia,
        aia_networks=listed("--aia-network", aia_network),
        cert=cert,
        key=key,
        password_file=password_file,
        alpn=listed("--alpn", alpn),
        tls=listed("--tls", tls),
        groups=listed("--group", group),
        suites=listed("--suite", suite),
        verify=not no_verify,
        timeout=timeout,
        proxy=proxy,
        proxy_ca=tuple(proxy_ca or ()),
        starttls=starttls,
        session=session,
        early_data=early_data,
        reconnect=reconnect,
        keylog=keylog,
        exports=tuple(export or ()),
        get=get,
        output=output,
        pipe=pipe,
        json=json,
        quiet=quiet,
    )
    raise typer.Exit(run(options))


@app.command(epilog="Exit code: 0 after Ctrl-C or SIGTERM; 2 if something in the call is wrong, or the port is taken.")
def serve(  # noqa: PLR0913, PLR0917 - likewise
    port: Annotated[int, typer.Option(metavar="P", min=0, max=65535, help="The port; 0 takes a free one.")] = 8443,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="The address to listen on.")] = "127.0.0.1",
    cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The certificate chain, PEM; or PKCS#12, with the key in it.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Its private key, PEM, if it is not in the same file; or a key in a token: pkcs11:... (RFC 7512).",
        ),
    ] = None,
    password_file: Annotated[Path | None, typer.Option(metavar="FILE", help=_PASSWORD)] = None,
    client_ca: _ClientCa = None,
    require_client_cert: Annotated[
        bool, typer.Option("--require-client-cert", metavar=" ", help="Refuse clients that show none.")
    ] = False,
    relax: _RelaxClients = None,
    known_keys: _KnownKeysOfClients = None,
    spiffe: _SpiffeOfClients = None,
    spiffe_trust: _SpiffeTrustOfClients = None,
    alpn: Annotated[list[str] | None, typer.Option(metavar="A,B", help="Application protocols.")] = None,
    tls: Annotated[list[str] | None, typer.Option(metavar="1.2,1.3", help="Versions of TLS; both by default.")] = None,
    echo: Annotated[bool, typer.Option("--echo", metavar=" ", help="Send back what comes.")] = False,
    www: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Serve the files of this folder over HTTP, and nothing outside of it."),
    ] = None,
    tickets: Annotated[
        int, typer.Option(metavar="N", min=0, help="Tickets to come back with, for each client; 0 for none.")
    ] = 2,
    store: _Store = None,
    store_secret: _StoreSecret = None,
    early_data: Annotated[
        bool,
        typer.Option(
            "--early-data", metavar=" ", help="Take what clients send with their hello (0-RTT). Replays are refused."
        ),
    ] = False,
    json: Annotated[bool, typer.Option("--json", metavar=" ", help="Print one JSON object a connection.")] = False,
) -> None:
    """Serve TLS for tests, with a throwaway certificate if none is given; a line a connection."""
    from handfast.cli.serve import Options, run

    options = Options(
        port=port,
        host=host,
        cert=cert,
        key=key,
        password_file=password_file,
        client_ca=tuple(client_ca or ()),
        require_client_cert=require_client_cert,
        relax=listed("--relax", relax),
        known_keys=tuple(known_keys or ()),
        spiffe=listed("--spiffe", spiffe),
        spiffe_trust=tuple(spiffe_trust or ()),
        alpn=listed("--alpn", alpn),
        tls=listed("--tls", tls),
        echo=echo,
        www=www,
        tickets=tickets,
        store=store,
        store_secret=store_secret,
        early_data=early_data,
        json=json,
    )
    raise typer.Exit(run(options))
