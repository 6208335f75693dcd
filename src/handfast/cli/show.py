"""Text for people: messages, summary, errors. What peers sent is escaped before it gets here (errors.shown)."""

from __future__ import annotations

import threading
import time
from queue import SimpleQueue
from typing import IO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from handfast.certificates.parsed import parsed
from handfast.errors import AlertReceived, TLSError, shown
from handfast.events import Handshake
from handfast.observe import explain
from handfast.observe.tap import Seen


def console(file: IO[str]) -> Console:
    """A console that colours only terminals, and keeps long lines whole elsewhere."""
    return Console(file=file, highlight=False, soft_wrap=True)


class Narrator:
    """Shows messages as they happen, from a thread of its own: to show one takes longer than to handle it.

    A moment passes before the first line, so that a quick handshake is over before anything is written, and the times
    that are shown are the handshake's and not ours.
    """

    _MOMENT = 0.05

    def __init__(self, out: Console) -> None:
        self._out = out
        self._queue: SimpleQueue[Seen | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="handfast-narrator", daemon=True)
        self._thread.start()

    def __call__(self, seen: Seen) -> None:
        """Show a message soon; at once when all others have been shown."""
        if self._thread.is_alive():
            self._queue.put(seen)
        else:
            message(self._out, seen)

    def finish(self) -> None:
        """Wait until everything is shown."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _work(self) -> None:
        while (seen := self._queue.get()) is not None:
            time.sleep(self._MOMENT)
            message(self._out, seen)
            while not self._queue.empty():
                following = self._queue.get()
                if following is None:
                    return
                message(self._out, following)


def message(out: Console, seen: Seen) -> None:
    """One message of the handshake, and its fields."""
    arrow = "[green]-->[/]" if seen.sent else "[cyan]<--[/]"
    lock = "[dim]encrypted[/]" if seen.encrypted else "[yellow]in the clear[/]"
    size = f"{seen.length} bytes"
    out.print(f"{seen.at * 1000:7.1f} ms {arrow} [bold]{seen.name:<20}[/] {size:>11}  {lock}")
    lines = explain.lines(seen.message)
    if not lines:
        out.print(f"{'':15}[dim]{escape(explain.summary(seen.message))}[/]")
    for name, value, meaning in lines:
        out.print(f"{'':15}{name:<21} {escape(value)}")
        if meaning:
            out.print(f"{'':37}[dim]{escape(meaning)}[/]")


def summary(out: Console, facts: Handshake, tcp_seconds: float, verified: bool) -> None:
    """What was agreed, who proved to be whom, and where the time went."""
    table = Table.grid(padding=(0, 2))
    table.add_row("[bold]version[/]", facts.version)
    table.add_row("[bold]cipher suite[/]", facts.cipher_suite)
    table.add_row("[bold]key exchange[/]", facts.group)
    table.add_row("[bold]signature[/]", facts.signature_scheme)
    if facts.alpn is not None:
        table.add_row("[bold]application protocol[/]", escape(shown(facts.alpn)))
    peer = facts.peer
    if peer is not None and verified:
        table.add_row("[bold]peer[/]", f"[green]proved to be[/] {escape(shown(facts.server_name or ''))}")
        path = [escape(shown(parsed(der).subject)) or "(empty subject)" for der in peer.path]
        table.add_row("[bold]by the chain[/]", "\n  issued by ".join(path))
    elif peer is not None:
        table.add_row("[bold]peer[/]", "[bold red]not verified: this may be anybody[/]")
    times = facts.timings
    table.add_row(
        "[bold]time[/]",
        f"TCP {tcp_seconds * 1000:.1f} ms, handshake {times.handshake * 1000:.1f} ms (key exchange "
        f"{times.key_exchange * 1000:.2f} ms, certificate {times.certificate_verification * 1000:.2f} ms)",
    )
    out.print()
    out.print(table)


def warning(out: Console, text: str) -> None:
    """Something that must not be missed."""
    out.print(f"[bold red]handfast: {escape(text)}[/]")


def error(out: Console, problem: TLSError) -> None:
    """What happened, in which message, who broke off, the evidence, what to try."""
    facts: dict[str, str] = {}
    if isinstance(problem, AlertReceived):
        facts["it means"] = explain.alert_meaning(problem.description)
    if problem.step:
        facts["at"] = problem.step
    if problem.sent_by == "us":
        facts["who"] = "we broke off" + (f", with the alert {_alert(problem)}" if problem.alert is not None else "")
    elif problem.sent_by == "peer":
        facts["who"] = "the peer broke off"
    facts |= {name.replace("_", " "): shown(value) for name, value in problem.evidence.items()}
    facts |= {"try": problem.reason.hint, "see": problem.reason.section}
    warning(out, problem.reason.sentence)
    width = max(len(name) for name in facts)
    for name, text in facts.items():
        if text:
            out.print(f"  {name:<{width}}  {escape(text)}")


def _alert(problem: TLSError) -> str:
    from handfast.wire.codepoints import AlertDescription

    return AlertDescription.name(problem.alert or 0)
