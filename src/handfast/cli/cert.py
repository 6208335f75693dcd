"""`handfast cert`: its commands and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from handfast.cli.listed import listed

app = typer.Typer(
    name="cert",
    help="Look at certificates: of a server, in a file, or from standard input.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_SHOW_EXIT = "Exit code: 0 if all went well; 1 if a server was reached and sent no certificate, or --key belongs to another one; 2 if something in the call is wrong, or a file cannot be used; 3 if there is no connection; 130 after Ctrl-C."
_VERIFY_EXIT = "Exit code: 0 if the chain is accepted; 1 if it is refused, or --key belongs to another one; 2 if something in the call is wrong, or a file cannot be used; 3 if there is no connection; 130 after Ctrl-C."

_NAMES = ("--name", "--servername")  # the second as `handfast connect` has it
_WHO, _HOW, _OTHER = "Who it has to be", "How to get it", "Other"


def _option(panel: str, metavar: str, text: str, *names: str) -> Any:
    return typer.Option(*names, metavar=metavar, rich_help_panel=panel, help=text)


def _flag(panel: str, name: str, text: str) -> Any:
    return typer.Option(name, metavar=" ", rich_help_panel=panel, help=text)


_Target = Annotated[
    str,
    typer.Argument(
        metavar="FILE|HOST[:PORT]|-",
        help="A file (PEM, DER, PKCS#7 or PKCS#12), a server, or - for standard input. What is no file is a server; its "
        "port is 443 by default, or that of --starttls.",
        show_default=False,
    ),
]
_Name = Annotated[
    str | None,
    _option(_WHO, "NAME", "The name that the certificate has to be for; of a server, HOST by default.", *_NAMES),
]
_AskedName = Annotated[str | None, _option(_HOW, "NAME", "The name to ask a server for, if it is not HOST.", *_NAMES)]
_Starttls = Annotated[
    str | None,
    _option(_HOW, "PROTOCOL", "Speak this protocol first, and begin TLS by its command: smtp, imap, ldap, ..."),
]
_Versions = Annotated[list[str] | None, _option(_HOW, "1.2,1.3", "Versions of TLS to offer; both by default.")]
_Timeout = Annotated[float, _option(_HOW, "S", "Seconds for the connection, and for the handshake.")]
_PasswordFile = Annotated[
    Path | None,
    _option(_HOW, "FILE", "The password of a PKCS#12 file, or of --key, in the first line; asked for without it."),
]
_Key = Annotated[
    str | None,
    _option(
        _WHO, "FILE|pkcs11:...", "Tell whether this private key belongs to the certificate; it is not sent or shown."
    ),
]
_Json = Annotated[bool, _flag(_OTHER, "--json", "Print one JSON object on standard output and nothing else.")]


@app.command(epilog=_SHOW_EXIT)
def show(  # noqa: PLR0917 - an option is a parameter: that is typer's way
    target: _Target,
    key: _Key = None,
    name: _AskedName = None,
    starttls: _Starttls = None,
    tls: _Versions = None,
    timeout: _Timeout = 10.0,
    password_file: _PasswordFile = None,
    json: _Json = False,
) -> None:
    """Show what stands in certificates, and who has issued which; or in a request for one (CSR). No chain is verified."""
    from handfast.cli.cert_run import Options, run

    options = Options(
        "show", target, key=key, name=name, starttls=starttls, tls=listed("--tls", tls), timeout=timeout,
        password_file=password_file, json=json,
    )  # fmt: skip
    raise typer.Exit(run(options))


@app.command(epilog=_VERIFY_EXIT)
def verify(  # noqa: PLR0913, PLR0917 - likewise
    target: _Target,
    name: _Name = None,
    key: _Key = None,
    purpose: Annotated[str, _option(_WHO, "server|client", "What the certificate has to be for.")] = "server",
    ca: Annotated[
        list[Path] | None,
        _option(_WHO, "FILE", "Trust the roots in this file or folder, not the system's. Repeatable."),
    ] = None,
    relax: Annotated[
        list[str] | None, _option(_WHO, "RULE", "Let a certificate break this rule; an error names it.")
    ] = None,
    known_keys: Annotated[
        list[Path] | None,
        _option(
            _WHO,
            "FILE",
            "A list of keys that others have too, and that are refused: a file of KeyList.write, or a folder of badkeys. "
            "Repeatable.",
        ),
    ] = None,
    spiffe: Annotated[
        list[str] | None,
        _option(
            _WHO,
            "RULE",
            "Who it has to be by its SPIFFE id: spiffe://example.org/db, or .../* for all below. A name counts only if "
            "--name gives one. Repeatable.",
        ),
    ] = None,
    spiffe_trust: Annotated[
        list[str] | None,
        _option(
            _WHO,
            "DOMAIN=FILE",
            "Trust these roots for the SPIFFE ids of this domain, and for no others: in a file or folder. Repeatable.",
        ),
    ] = None,
    at: Annotated[
        str | None,
        _option(_WHO, "DATE", "Verify for this time and not for now: 2027-01-31, 2027-01-31T12:00 (UTC), or +14d."),
    ] = None,
    aia: Annotated[
        bool,
        _flag(
            _HOW, "--aia", "Fetch missing intermediates over HTTP, from the addresses that the certificates name (AIA)."
        ),
    ] = False,
    aia_network: Annotated[
        list[str] | None,
        _option(_HOW, "NETWORK", "With --aia: fetch from this internal network too, such as 10.0.0.0/8. Repeatable."),
    ] = None,
    starttls: _Starttls = None,
    tls: _Versions = None,
    timeout: _Timeout = 10.0,
    password_file: _PasswordFile = None,
    json: _Json = False,
) -> None:
    """Verify a chain, and show the verdict of each check and of each trust store."""
    from handfast.cli.cert_run import Options, run

    options = Options(
        "verify", target, key=key, name=name, purpose=purpose, ca=tuple(ca or ()), relax=listed("--relax", relax),
        known_keys=tuple(known_keys or ()), spiffe=listed("--spiffe", spiffe), spiffe_trust=tuple(spiffe_trust or ()), at=at, aia=aia,
        aia_networks=listed("--aia-network", aia_network), starttls=starttls, tls=listed("--tls", tls), timeout=timeout, password_file=password_file, json=json,
    )  # fmt: skip
    raise typer.Exit(run(options))
