"""XMPP: the opening of a stream, its features, and <starttls/> (RFC 6120 section 5). With a reader for its XML.

XMPP allows a part of XML that is small enough to read here (RFC 6120 section 11.1): no comments, no processing
instructions, no DTD and so no entities of its own. Where an element ends is known to the byte, which no XML library
promises: behind <proceed/> the very next byte is TLS.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar, Final
from xml.sax.saxutils import quoteattr

from handfast.transport.starttls.dialogue import LINE, Protocol, Script, Talk, brief

_STREAMS: Final = "http://etherx.jabber.org/streams"
_TLS: Final = "urn:ietf:params:xml:ns:xmpp-tls"

_DEPTH: Final = 16  # of elements in each other; features have three
_QUOTED: Final = re.compile(rb"\"[^\"]*\"|'[^']*'")
_TAG: Final = re.compile(r"<(/?)([^\s/<>=\"']+)((?:\s+[^\s/<>=\"']+\s*=\s*(?:\"[^\"<]*\"|'[^'<]*'))*)\s*(/?)>")
_ATTRIBUTE: Final = re.compile(r"\s+([^\s/<>=\"']+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")


@dataclass(slots=True)
class _Element:
    """An element: its name behind its namespace, and what is in it. Text is left out."""

    namespace: str
    name: str
    attributes: dict[str, str]
    prefixes: dict[str, str]
    children: list[_Element] = field(default_factory=list)

    def child(self, namespace: str, name: str) -> bool:
        """Whether it has this one."""
        return any((each.namespace, each.name) == (namespace, name) for each in self.children)


class XMPP(Protocol):
    """The stream of a client."""

    name = "xmpp"
    title = "XMPP"
    port = 5222
    namespace: ClassVar[str] = "jabber:client"

    def __init__(self, domain: str = "", sender: str = "") -> None:
        """``domain`` is the server's, the name that it has to prove by default; ``sender`` is ours, which may stay unsaid.

        A domain's server often has another name than the domain. Then connect to that, and have the domain proved:
        ``connect("xmpp.example.com", 5222, server_name="example.com", starttls="xmpp")``.
        """
        self._domain = domain
        self._sender = sender

    def script(self, talk: Talk) -> Script[None]:
        """See Protocol."""
        talk.say(self._header(self._domain or talk.server_name).encode("utf-8"))
        stream = yield from _opened(talk)
        if not stream.attributes.get("version", "").startswith("1."):
            raise talk.not_offered(problem="the stream has no version: the server is from before RFC 3920")
        features = yield from _element(talk, stream)
        if (features.namespace, features.name) != (_STREAMS, "features"):
            raise _unexpected(talk, features, "<features/>")
        if not features.child(_TLS, "starttls"):
            raise talk.not_offered(offered=[brief(each.name) for each in features.children[:32]])
        talk.say(f"<starttls xmlns='{_TLS}'/>".encode("ascii"))
        answer = yield from _element(talk, stream)
        if (answer.namespace, answer.name) != (_TLS, "proceed"):
            raise _unexpected(talk, answer, "<proceed/>")

    def _header(self, domain: str) -> str:
        ends = f" to={quoteattr(domain)}" if domain else ""
        ends += f" from={quoteattr(self._sender)}" if self._sender else ""
        return f"<?xml version='1.0'?><stream:stream{ends} version='1.0' xmlns='{self.namespace}' xmlns:stream='{_STREAMS}'>"


class XMPPServer(XMPP):
    """The stream of a server to another one."""

    name = "xmpp-server"
    title = "XMPP between servers"
    port = 5269
    namespace = "jabber:server"


def _unexpected(talk: Talk, element: _Element, expected: str) -> Exception:
    """The error for another element: the server refuses, or is none."""
    if (element.namespace, element.name) in ((_STREAMS, "error"), (_TLS, "failure")):
        return talk.refused(f"<{element.name}/> {' '.join(each.name for each in element.children)}".strip())
    return talk.garbled(f"<{element.name} xmlns='{element.namespace}'>", expected)


# --- XML -------------------------------------------------------------------------------------------------------------


def _opened(talk: Talk) -> Script[_Element]:
    """The start tag of the stream, which stays open."""
    if (yield from talk.peek(1)) != b"<":  # nothing may stand before it, and no other protocol has it here
        raise talk.garbled((yield from talk.line()), "<stream:stream>")
    data = yield from _markup(talk)
    if re.match(rb"<\?xml[\s?]", data):
        data += yield from _markup(talk)
    talk.heard(data)
    tag = data[max(data.rfind(b"<"), 0) :]
    element, kind = _parsed(talk, tag, None)
    if kind != "start" or (element.namespace, element.name) != (_STREAMS, "stream"):
        raise talk.garbled(tag, "<stream:stream>")
    return element


def _element(talk: Talk, stream: _Element) -> Script[_Element]:
    """The next element of the stream, whole."""
    data = b""
    within = [stream]
    while True:
        markup = yield from _markup(talk)
        data += markup
        if len(data) > LINE * 2:
            raise talk.too_long()
        start = markup.find(b"<")
        if start < 0 or markup.startswith(b"<![CDATA[", start):  # text
            continue
        element, kind = _parsed(talk, markup[start:], within[-1])
        if kind == "end":
            closed = within.pop()
            if closed is stream:
                raise talk.refused(data)  # </stream:stream>: it has nothing more to say
            if (closed.namespace, closed.name) != (element.namespace, element.name):
                raise talk.garbled(markup, f"</{closed.name}>")
        else:
            within[-1].children.append(element)
            if kind == "start":
                within.append(element)
        if len(within) > _DEPTH:
            raise talk.garbled(data, "elements that are not as deep in each other")
        if len(within) == 1:
            talk.heard(data)
            return stream.children[-1]


def _markup(talk: Talk) -> Script[bytes]:
    """Text up to the next tag, and the tag. A > in quotes does not end it, and one in text is a piece of its own."""
    data = yield from talk.until(b">", aloud=False)
    start = data.find(b"<")
    if start < 0:
        return data
    cdata = data.startswith(b"<![CDATA[", start)
    while not data.endswith(b"]]>") if cdata else _open_quote(data[start:]):
        data += yield from talk.until(b">", aloud=False)
        if len(data) > LINE:
            raise talk.too_long()
    return data


def _open_quote(tag: bytes) -> bool:
    return any(quote in _QUOTED.sub(b"", tag) for quote in (b'"', b"'"))


def _parsed(talk: Talk, tag: bytes, parent: _Element | None) -> tuple[_Element, str]:
    """A tag, and whether it is a "start", an "end", or a "whole" element by itself."""
    try:
        found = _TAG.fullmatch(tag.decode("utf-8"))
    except UnicodeDecodeError:
        found = None
    if found is None or (found[1] and found[4]):
        raise talk.garbled(tag, "a tag of XML, as XMPP allows it")
    attributes = {name: one or other for name, one, other in _ATTRIBUTE.findall(found[3])}
    prefixes = dict(parent.prefixes) if parent else {}
    for name, value in attributes.items():
        if name == "xmlns" or name.startswith("xmlns:"):
            prefixes[name[6:]] = value
    prefix, _, local = found[2].rpartition(":")
    element = _Element(prefixes.get(prefix, ""), local, attributes, prefixes)
    return element, "end" if found[1] else "whole" if found[4] else "start"
