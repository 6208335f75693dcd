"""The commands and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import handfast

app = typer.Typer(
    name="handfast",
    help="TLS handshakes, in full view.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_EXIT = (
    "Ends with 0; 1 if the handshake was refused or failed; 2 if something in the call is wrong; "
    "3 if there is no connection; 130 after Ctrl-C."
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"handfast {handfast.__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """TLS handshakes, in full view."""


@app.command(epilog=_EXIT)
def connect(  # noqa: PLR0913, PLR0917 - an option is a parameter: that is typer's way
    target: Annotated[str, typer.Argument(metavar="HOST[:PORT]", help="Whom to connect to; port 443 by default.")],
    servername: Annotated[str | None, typer.Option(metavar="NAME", help="The name to ask for and to verify.")] = None,
    ca: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="Trust these roots, not the system's.")] = None,
    relax: Annotated[
        list[str] | None, typer.Option(metavar="RULE", help="A rule for certificates not to hold.")
    ] = None,
    alpn: Annotated[list[str] | None, typer.Option(metavar="A,B", help="Application protocols to offer.")] = None,
    group: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Groups to offer, the best first.")] = None,
    suite: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Cipher suites to offer.")] = None,
    no_verify: Annotated[bool, typer.Option("--no-verify", help="Accept any certificate. Not safe.")] = False,
    timeout: Annotated[float, typer.Option(metavar="S", help="Seconds to connect, to shake hands, to wait.")] = 10.0,
    keylog: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the secrets here, for Wireshark.")] = None,
    get: Annotated[str | None, typer.Option(metavar="PATH", help="Send an HTTP GET, show the answer.")] = None,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Where the answer's body goes.")] = None,
    pipe: Annotated[bool, typer.Option("--pipe", help="Connect standard input and output to the peer.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing about the handshake.")] = False,
) -> None:
    """Shake hands with a server, and show the handshake message by message."""
    from handfast.cli.connect import Options, run

    options = Options(
        target=target,
        server_name=servername,
        ca=tuple(ca or ()),
        relax=_listed(relax),
        alpn=_listed(alpn),
        groups=_listed(group),
        suites=_listed(suite),
        verify=not no_verify,
        timeout=timeout,
        keylog=keylog,
        get=get,
        output=output,
        pipe=pipe,
        json=json,
        quiet=quiet,
    )
    raise typer.Exit(run(options))


@app.command(epilog=_EXIT)
def serve(  # noqa: PLR0917 - likewise
    port: Annotated[int, typer.Option(metavar="P", min=0, max=65535, help="The port; 0 takes a free one.")] = 8443,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="The address to listen on.")] = "127.0.0.1",
    cert: Annotated[Path | None, typer.Option(metavar="FILE", help="The certificate chain, PEM.")] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its private key, PEM.")] = None,
    alpn: Annotated[list[str] | None, typer.Option(metavar="A,B", help="Application protocols.")] = None,
    echo: Annotated[bool, typer.Option("--echo", help="Send back what comes.")] = False,
    www: Annotated[Path | None, typer.Option(metavar="DIR", help="Serve the files of this folder over HTTP.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a connection.")] = False,
) -> None:
    """Serve TLS for tests, with a throwaway certificate if none is given; a line a connection."""
    from handfast.cli.serve import Options, run

    raise typer.Exit(run(Options(port, host, cert, key, _listed(alpn), echo, www, json)))


def _listed(values: list[str] | None) -> tuple[str, ...]:
    """An option that may be repeated, and hold several names with commas between."""
    return tuple(name for value in values or () for name in value.split(",") if name)
