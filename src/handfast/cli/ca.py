"""`handfast ca`: the commands of an authority of one's own, and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from handfast.cli.listed import listed

app = typer.Typer(
    name="ca",
    help="A certificate authority of your own, in a folder: make one, issue, list and revoke certificates.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_EXIT = (
    "Exit code: 0 if it is done; 2 if something in the call or a file is wrong, and nothing is done; 130 after Ctrl-C."
)
_KINDS = "server, client, both or spiffe"
_KEYS = "p256, p384, ed25519, rsa2048, rsa3072 or rsa4096"


# The panels of `handfast ca init --help`.
_LOCKED, _WEB, _BELOW = "Passphrases", "On the web", "Another intermediate of a root that is there"


def _option(metavar: str, text: str, panel: str | None = None, **more: Any) -> Any:
    return typer.Option(metavar=metavar, help=text, rich_help_panel=panel, **more)


def _flag(name: str, text: str, panel: str | None = None) -> Any:
    return typer.Option(name, metavar=" ", help=text, rich_help_panel=panel)


_Dir = Annotated[Path, typer.Option("--dir", metavar="DIR", envvar="HANDFAST_CA", help="The folder of the authority.")]
_DIR = Path("handfast-ca")
_PassphraseFile = Annotated[
    Path | None,
    _option(
        "FILE", "The passphrase of the authority's key, in the first line; - is standard input. Asked for if need be."
    ),
]
_RootKey = Annotated[Path | None, _option("FILE", "The root's key, where it is kept elsewhere.")]
_Json = Annotated[bool, _flag("--json", "Print one JSON object on standard output, also on failure.")]
_Kind = Annotated[
    str | None,
    _option("KIND", f"What it is for: {_KINDS}. By default spiffe for a SPIFFE id, and server for all else."),
]
_Lifetime = Annotated[
    str | None,
    _option(
        "TIME", "How long it is valid: 90m, 24h, 90d. By default 30d, and 24h for a SPIFFE id.", show_default=False
    ),
]
_Out = Annotated[Path, _option("DIR", "Where the files are written.")]
_Name = Annotated[
    str | None, _option("NAME", "What the files are called, without .pem; by default after the first name.")
]
_Force = Annotated[bool, _flag("--force", "Replace files that are there.")]


@app.command(epilog=_EXIT)
def init(  # noqa: PLR0913, PLR0917 - an option is a parameter: that is typer's way
    folder: _Dir = _DIR,
    name: Annotated[
        str, _option("NAME", "The name of the authority: its certificates are called NAME root and NAME intermediate.")
    ] = "handfast",
    key: Annotated[str, _option("KIND", f"The kind of its keys: {_KEYS}.")] = "p256",
    permit: Annotated[
        list[str] | None,
        _option(
            "NAMES", "Issue only for this domain and below it (example.com), or this network (10.0.0.0/8). Repeatable."
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None, _option("NAMES", "Never issue for this domain or network. Repeatable.")
    ] = None,
    root_lifetime: Annotated[str, _option("TIME", "How long the root is valid.")] = "10y",
    lifetime: Annotated[str, _option("TIME", "How long the intermediate is valid.")] = "3y",
    passphrase: Annotated[bool, _flag("--passphrase", "Ask for a passphrase that encrypts the keys.", _LOCKED)] = False,
    passphrase_file: Annotated[
        Path | None, _option("FILE", "Encrypt the keys with the first line of this file; - is standard input.", _LOCKED)
    ] = None,
    root_passphrase_file: Annotated[
        Path | None,
        _option(
            "FILE", "Another passphrase for the root's key; with --from, the one that its key has already.", _LOCKED
        ),
    ] = None,
    crl_url: Annotated[
        str | None,
        _option("URL", "Where you will publish intermediate.crl: it is written into each certificate.", _WEB),
    ] = None,
    issuer_url: Annotated[
        str | None, _option("URL", "Where you will publish intermediate.cer, likewise.", _WEB)
    ] = None,
    below: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR", rich_help_panel=_BELOW, help="The authority that has the root."),
    ] = None,
    root_key: Annotated[Path | None, _option("FILE", "The root's key, where it is kept elsewhere.", _BELOW)] = None,
    json: _Json = False,
) -> None:
    """Make an authority: a root that others trust, and an intermediate that issues."""
    from handfast.cli.ca_run import Init, run

    raise typer.Exit(
        run(
            Init(
                folder, json, name=name, key=key, permit=listed("--permit", permit),
                exclude=listed("--exclude", exclude), root_lifetime=root_lifetime, lifetime=lifetime, ask=passphrase, passphrase_file=passphrase_file,
                root_passphrase_file=root_passphrase_file, crl_url=crl_url or "", issuer_url=issuer_url or "",
                below=below, root_key=root_key,
            )
        )
    )  # fmt: skip


@app.command(epilog=_EXIT)
def issue(  # noqa: PLR0913, PLR0917 - likewise
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...",
            help="DNS names, *.example.com, IP addresses, e-mail addresses, URIs, a SPIFFE id.",
            show_default=False,
        ),
    ],
    folder: _Dir = _DIR,
    kind: _Kind = None,
    key: Annotated[str, _option("KIND", f"The kind of its key: {_KEYS}.")] = "p256",
    lifetime: _Lifetime = None,
    out: _Out = Path(),
    name: _Name = None,
    force: _Force = False,
    p12: Annotated[bool, _flag("--p12", "Write NAME.p12 too (PKCS#12), for browsers, Java and Windows.")] = False,
    p12_password_file: Annotated[
        Path | None, _option("FILE", "The password of the .p12, in the first line; asked for without it.")
    ] = None,
    passphrase_file: _PassphraseFile = None,
    json: _Json = False,
) -> None:
    """Make a key, and issue a certificate for it."""
    from handfast.cli.ca_run import Issue, run

    raise typer.Exit(
        run(
            Issue(
                folder, json, names=tuple(names), kind=kind, key=key, lifetime=lifetime, out=out, name=name, force=force,
                p12=p12, p12_password_file=p12_password_file, passphrase_file=passphrase_file,
            )
        )
    )  # fmt: skip


@app.command(epilog=_EXIT)
def sign(  # noqa: PLR0913, PLR0917 - likewise
    request: Annotated[
        Path, typer.Argument(metavar="FILE", help="The request (PKCS#10), PEM or DER; - is standard input.")
    ],
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...", help="The names to certify, whatever the request says.", show_default=False
        ),
    ] = None,
    folder: _Dir = _DIR,
    allow: Annotated[
        list[str] | None,
        _option("NAMES", "Certify the names of the request that are in this domain or network, too. Repeatable."),
    ] = None,
    drop_others: Annotated[
        bool, _flag("--drop-others", "Leave out what else the request asks for, and do not refuse it.")
    ] = False,
    kind: _Kind = None,
    lifetime: _Lifetime = None,
    out: _Out = Path(),
    name: _Name = None,
    force: _Force = False,
    passphrase_file: _PassphraseFile = None,
    json: _Json = False,
) -> None:
    """Issue a certificate for a key that somebody else keeps: from its request (CSR)."""
    from handfast.cli.ca_run import Sign, run

    raise typer.Exit(
        run(
            Sign(
                folder, json, request=request, names=tuple(names or ()), allow=listed("--allow", allow),
                drop_others=drop_others, kind=kind, lifetime=lifetime, out=out, name=name, force=force, passphrase_file=passphrase_file,
            )
        )
    )  # fmt: skip


@app.command("list", epilog=_EXIT)
def list_(folder: _Dir = _DIR, json: _Json = False) -> None:
    """Show what was issued: its state, days left, names and serial number; and the authority itself."""
    from handfast.cli.ca_run import List, run

    raise typer.Exit(run(List(folder, json)))


@app.command(epilog=_EXIT)
def revoke(  # noqa: PLR0917 - likewise
    certificate: Annotated[
        str | None,
        typer.Argument(
            metavar="[SERIAL|FILE]",
            help="The first digits of its serial number, or its file. Without it the list is only written anew.",
            show_default=False,
        ),
    ] = None,
    folder: _Dir = _DIR,
    reason: Annotated[
        str,
        _option(
            "REASON",
            "unspecified, key-compromise, affiliation-changed, superseded, cessation-of-operation or privilege-withdrawn.",
        ),
    ] = "unspecified",
    next_update: Annotated[
        str | None, _option("TIME", "How long the list is good: 7d by default, 1y for the root's.")
    ] = None,
    root: Annotated[bool, _flag("--root", "Without a certificate: write the root's list anew.")] = False,
    root_key: _RootKey = None,
    passphrase_file: _PassphraseFile = None,
    json: _Json = False,
) -> None:
    """Revoke a certificate, and write the revocation list (CRL)."""
    from handfast.cli.ca_run import Revoke, run

    raise typer.Exit(
        run(
            Revoke(
                folder, json, certificate=certificate, reason=reason, next_update=next_update, root=root,
                root_key=root_key, passphrase_file=passphrase_file,
            )
        )
    )  # fmt: skip
