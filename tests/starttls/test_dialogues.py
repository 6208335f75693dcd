"""Each dialogue by itself: what it says, what it takes, and what it refuses, whatever comes and however it is cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handfast.errors import (
    ConfigurationError,
    ConnectionFailed,
    HandshakeTimeout,
    MisuseError,
    PeerIncompatible,
    PeerMisbehaved,
    TLSError,
)
from handfast.reasons import (
    STARTTLS_CLOSED,
    STARTTLS_GARBLED,
    STARTTLS_INJECTED,
    STARTTLS_NOT_OFFERED,
    STARTTLS_REFUSED,
    STARTTLS_TIMEOUT,
    STARTTLS_TOO_LONG,
    Reason,
)
from handfast.transport.starttls import PROTOCOLS, SMTP, XMPP, Dialogue, MySQL, Protocol, dialogue, protocol
from tests.starttls.conversations import CONVERSATIONS, greeting_of_mysql, response_of_ldap

EACH = pytest.mark.parametrize("name", CONVERSATIONS)
SAID = {
    "smtp": [b"EHLO [127.0.0.1]\r\n", b"STARTTLS\r\n"],
    "lmtp": [b"LHLO [127.0.0.1]\r\n", b"STARTTLS\r\n"],
    "imap": [b"a1 CAPABILITY\r\n", b"a2 STARTTLS\r\n"],
    "pop3": [b"CAPA\r\n", b"STLS\r\n"],
    "sieve": [b"STARTTLS\r\n"],
    "ftp": [b"AUTH TLS\r\n"],
    "nntp": [b"CAPABILITIES\r\n", b"STARTTLS\r\n"],
    "ldap": [b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"],
    "postgres": [b"\0\0\0\x08\x04\xd2\x16\x2f"],
    "mysql": [b"\x20\0\0\1\0\x8a\x08\0\xff\xff\xff\0\x2d" + bytes(23)],
}


def begun(name: str | Protocol) -> Dialogue:
    talk = Dialogue(name)
    talk.start("example.com", 30.0)
    return talk


def hold(talk: Dialogue, turns: tuple[bytes, ...], size: int | None = None) -> list[bytes]:
    """Let the server say its turns, in pieces of a size; what the client has said."""
    said = [talk.data_to_send()]
    for turn in turns:
        for start in range(0, len(turn), size or len(turn)):
            talk.receive_data(turn[start : start + (size or len(turn))])
        said.append(talk.data_to_send())
    return [data for data in said if data]


def refused(name: str | Protocol, *turns: bytes) -> TLSError:
    talk = begun(name)
    with pytest.raises(TLSError) as caught:
        hold(talk, turns)
    assert not talk.done
    with pytest.raises(type(caught.value)) as again:
        talk.receive_data(b"220 go\r\n")
    assert again.value is not caught.value
    assert again.value.reason is caught.value.reason
    return caught.value


# --- all goes well ---------------------------------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("size", [None, 1, 7])
def test_a_server_that_agrees(name: str, size: int | None) -> None:
    talk = begun(name)
    said = hold(talk, CONVERSATIONS[name].turns, size)
    assert talk.done
    if name in SAID:
        assert said == SAID[name]
    assert b"".join(item.data for item in talk.said if item.sent) == b"".join(said)
    assert b"".join(item.data for item in talk.said if not item.sent) == b"".join(CONVERSATIONS[name].turns)


def test_every_protocol_has_a_conversation() -> None:
    assert set(CONVERSATIONS) | {"postgres-direct"} == set(PROTOCOLS)
    assert all(protocol(name).name == name for name in PROTOCOLS)


def test_with_direct_tls_nothing_is_said() -> None:
    talk = begun("postgres-direct")
    assert talk.done
    assert talk.data_to_send() == b""
    assert talk.protocol.alpn == ("postgresql",)


@pytest.mark.parametrize(
    ("alias", "name"),
    [("postgresql", "postgres"), ("MariaDB", "mysql"), ("managesieve", "sieve"), ("xmpp-client", "xmpp")],
)
def test_other_names(alias: str, name: str) -> None:
    assert protocol(alias).name == name


def test_a_name_that_is_none() -> None:
    with pytest.raises(ConfigurationError, match="known: smtp, lmtp"):
        Dialogue("gopher")
    for wrong in (True, 25, b"smtp", SMTP):
        with pytest.raises(ConfigurationError, match="known: smtp, lmtp"):
            Dialogue(wrong)  # type: ignore[arg-type]


def test_a_greeting_with_capabilities_saves_a_question() -> None:
    talk = begun("imap")
    assert hold(talk, (b"* OK [capability IMAP4rev2 StartTLS] hi\r\n", b"a2 ok go\r\n")) == [b"a2 STARTTLS\r\n"]
    assert talk.done


def test_lines_of_imap_may_come_at_any_time() -> None:
    talk = begun("imap")
    said = hold(talk, (b"* OK [CAPABILITY STARTTLS] hi\r\n* OK unasked", b" news\r\n", b"a2 OK go\r\n"))
    assert said == [b"a2 STARTTLS\r\n"]
    assert talk.done


@pytest.mark.parametrize(
    ("name", "turns"),
    [
        ("pop3", (b"+OK hi\r\n", b"-ERR what\r\n", b"+OK\r\n")),
        ("nntp", (b"201 hi\r\n", b"500 what\r\n", b"382 go\r\n")),
    ],
)
def test_a_server_too_old_to_list_what_it_can(name: str, turns: tuple[bytes, ...]) -> None:
    talk = begun(name)
    hold(talk, turns)
    assert talk.done


def test_a_server_of_files_that_is_not_ready_yet() -> None:
    talk = begun("ftp")
    hold(talk, (b"120 in a minute\r\n220 now\r\n", b"234 go\r\n"))
    assert talk.done


def test_settings() -> None:
    assert hold(begun(SMTP("me.example.com")), (b"220 hi\r\n",)) == [b"EHLO me.example.com\r\n"]
    header = hold(begun(XMPP("chat.example.com & co", "me@example.com")), ())[0]
    assert b'to="chat.example.com &amp; co" from="me@example.com"' in header
    assert b'to="example.com"' in hold(begun("xmpp"), ())[0]
    assert hold(begun(MySQL(0, 33)), (greeting_of_mysql(),))[0][4:13] == b"\0\x0a\0\0\xff\xff\xff\0\x21"


def test_a_name_with_a_line_end_would_be_a_second_command() -> None:
    with pytest.raises(ConfigurationError):
        SMTP("me\r\nQUIT")


def test_a_listener_hears_everything_as_it_is_said() -> None:
    heard: list[str] = []
    talk = Dialogue("ftp", on_said=lambda said: heard.append(("> " if said.sent else "< ") + said.text))
    hold(talk, (b"220 hi\r\n", b"234 go\r\n"))
    assert heard == ["< 220 hi", "> AUTH TLS", "< 234 go"]


def test_a_dialogue_is_for_one_connection() -> None:
    talk = begun("postgres")
    with pytest.raises(MisuseError):
        talk.start()
    talk.receive_data(b"S")
    with pytest.raises(MisuseError):
        talk.receive_data(b"\x16")


# --- plain text that nobody asked for --------------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize(
    "extra", [b"\n", b"250 hello again\r\n", b"a3 OK evil\r\n", b"\x16\x03\x03", b"<evil/>", b"\0"]
)
def test_plain_text_behind_the_go_ahead_is_refused(name: str, extra: bytes) -> None:
    """CVE-2011-0411, CVE-2021-23222."""
    *turns, last = CONVERSATIONS[name].turns
    error = refused(name, *turns, last + extra)
    assert isinstance(error, PeerMisbehaved)
    assert error.reason is STARTTLS_INJECTED
    assert error.alert is None
    assert error.evidence["first_bytes"] == extra


@pytest.mark.parametrize("name", [name for name, each in CONVERSATIONS.items() if len(each.turns) > 1])
def test_an_answer_before_its_command_is_refused(name: str) -> None:
    """CVE-2021-38371: the go-ahead comes together with what is before it."""
    *turns, second, last = CONVERSATIONS[name].turns
    last = last.removeprefix(b"* OK by the way\r\n")
    error = refused(name, *turns, second + last)
    assert error.reason is STARTTLS_INJECTED
    assert error.evidence["first_bytes"] in (last, last.rstrip())


# --- a server that does not want -------------------------------------------------------------------------------------


@EACH
def test_a_server_that_has_no_tls(name: str) -> None:
    error = refused(name, *CONVERSATIONS[name].without)
    assert isinstance(error, PeerIncompatible)
    assert error.reason is STARTTLS_NOT_OFFERED
    assert error.evidence["protocol"] == PROTOCOLS[name].title


@pytest.mark.parametrize("name", [name for name, each in CONVERSATIONS.items() if each.refusing])
def test_a_server_that_says_no(name: str) -> None:
    *turns, _ = CONVERSATIONS[name].turns
    error = refused(name, *turns, CONVERSATIONS[name].refusing or b"")
    assert isinstance(error, PeerIncompatible)
    assert error.reason is STARTTLS_REFUSED
    assert error.sent_by == "peer"
    assert error.evidence["answer"]


@pytest.mark.parametrize(
    ("name", "turns", "reason"),
    [
        ("smtp", (b"554 not you\r\n",), STARTTLS_REFUSED),
        ("smtp", (b"220 hi\r\n", b"502 what\r\n"), STARTTLS_NOT_OFFERED),
        ("smtp", (b"250 hi\r\n",), STARTTLS_GARBLED),
        ("smtp", (b"220-a\r\n250 b\r\n",), STARTTLS_GARBLED),
        ("smtp", (b"220x\r\n",), STARTTLS_GARBLED),
        ("ftp", (b"421 too many\r\n",), STARTTLS_REFUSED),
        ("ftp", (b"230 in\r\n",), STARTTLS_GARBLED),
        ("nntp", (b"400 later\r\n",), STARTTLS_REFUSED),
        ("nntp", (b"220 hi\r\n",), STARTTLS_GARBLED),
        ("nntp", (b"200-hi\r\n",), STARTTLS_GARBLED),
        ("nntp", (b"200 hi\r\n", b"500 what\r\n", b"500 what\r\n"), STARTTLS_NOT_OFFERED),
        ("imap", (b"* PREAUTH [CAPABILITY STARTTLS] you are in\r\n",), STARTTLS_REFUSED),
        ("imap", (b"* BYE full\r\n",), STARTTLS_REFUSED),
        ("imap", (b"* OK hi\r\n", b"a1 BAD what\r\n"), STARTTLS_NOT_OFFERED),
        ("imap", (b"* OK hi\r\n", b"* BYE now\r\n"), STARTTLS_REFUSED),
        ("imap", (b"* OK hi\r\n", b"b1 OK what\r\n"), STARTTLS_GARBLED),
        ("imap", (b"*\r\n",), STARTTLS_GARBLED),
        ("pop3", (b"-ERR busy\r\n",), STARTTLS_REFUSED),
        ("sieve", (b'BYE "full"\r\n',), STARTTLS_REFUSED),
        ("sieve", (b'"STARTTLS"\r\nOK\r\n', b"YES\r\n"), STARTTLS_GARBLED),
        ("sieve", (b"STARTTLS\r\n",), STARTTLS_GARBLED),
        ("postgres", (b"X",), STARTTLS_GARBLED),
        ("mysql", (b"\x15\0\0\0\xff\x69\x04Host is blocked....",), STARTTLS_REFUSED),
        ("mysql", (b"\x02\0\0\0\x09\0",), STARTTLS_GARBLED),
        ("mysql", (b"\x04\0\0\0\x0a8.4",), STARTTLS_GARBLED),
        ("mysql", (bytes(4),), STARTTLS_GARBLED),
        ("mysql", (b"\xff\xff\xff\0",), STARTTLS_TOO_LONG),
        ("ldap", (response_of_ldap(52, b"bye", 0, b"1.3.6.1.4.1.1466.20036"),), STARTTLS_REFUSED),
        ("ldap", (response_of_ldap(0, b"", 2),), STARTTLS_GARBLED),
        ("ldap", (response_of_ldap(0, b"", 1, b"1.2.3"),), STARTTLS_GARBLED),
        ("ldap", (b"\x30\x80\2\1\1",), STARTTLS_GARBLED),
        ("ldap", (b"\x30\x84\x7f\xff\xff\xff",), STARTTLS_TOO_LONG),
        ("ldap", (b"\x30\3\2\1\1",), STARTTLS_GARBLED),
        ("ldap", (b"\x30\2\2\0",), STARTTLS_GARBLED),
        ("ldap", (b"\x30\3\2\x80\1",), STARTTLS_GARBLED),
        ("ldap", (b"\x30\3\4\1\1",), STARTTLS_GARBLED),
        ("ldap", (b"\x31\3\4\1\1",), STARTTLS_GARBLED),
        ("xmpp", (b"<stream:stream xmlns:stream='http://etherx.jabber.org/streams'>",), STARTTLS_NOT_OFFERED),
        ("xmpp", (b"<!DOCTYPE a><a>",), STARTTLS_GARBLED),
        ("xmpp", (b"<html>",), STARTTLS_GARBLED),
    ],
)
def test_other_ways_to_say_no_or_nothing(name: str, turns: tuple[bytes, ...], reason: Reason) -> None:
    assert refused(name, *turns).reason is reason


STREAM = CONVERSATIONS["xmpp"].turns[0].partition(b"<stream:features>")[0]


@pytest.mark.parametrize(
    ("markup", "reason"),
    [
        (b"<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>", STARTTLS_REFUSED),
        (b"</stream:stream>", STARTTLS_REFUSED),
        (b"<features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></features>", STARTTLS_GARBLED),
        (b"<stream:features><starttls/></stream:features>", STARTTLS_NOT_OFFERED),
        (
            b"<stream:features><!-- <starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/> --></stream:features>",
            STARTTLS_GARBLED,
        ),
        (b"<stream:features><![CDATA[<starttls>]]></stream:features>", STARTTLS_NOT_OFFERED),
        (b"<stream:features><a></b></stream:features>", STARTTLS_GARBLED),
        (b"<stream:features>" + b"<a>" * 20, STARTTLS_GARBLED),
        (b"<stream:features>\xff<\xff>", STARTTLS_GARBLED),
        (b"<stream:features>" + b"<a/>" * 5_000, STARTTLS_TOO_LONG),
        (b"<a b='" + b">" * 9_000, STARTTLS_TOO_LONG),
    ],
)
def test_what_an_xmpp_server_may_not_say(markup: bytes, reason: Reason) -> None:
    assert refused("xmpp", STREAM + markup).reason is reason


def test_text_and_prefixes_do_not_matter_to_xmpp() -> None:
    features = (
        b"\n it's a > b <s:features xmlns:s='http://etherx.jabber.org/streams'><t:starttls xmlns:t="
        b'"urn:ietf:params:xml:ns:xmpp-tls"> text </t:starttls ></s:features>'
    )
    talk = begun("xmpp")
    hold(talk, (STREAM + features, b"<x:proceed xmlns:x='urn:ietf:params:xml:ns:xmpp-tls'></x:proceed>"))
    assert talk.done


def test_what_postgresql_says_before_tls_is_not_shown() -> None:
    """CVE-2024-10977: anybody can have written it."""
    error = refused("postgres", b"E\0\0\0\x20SFATAL\0Mrun this command\0\0")
    assert "run this" not in str(error)


def test_an_ldap_length_may_be_longer_than_it_needs_to_be() -> None:
    body = response_of_ldap(0)[2:]
    talk = begun("ldap")
    hold(talk, (b"\x30\x84\0\0\0" + bytes([len(body)]) + body,), 1)
    assert talk.done


# --- a server that does not come to an end ---------------------------------------------------------------------------


@EACH
def test_a_line_without_an_end(name: str) -> None:
    error = refused(name, b"2" * (dialogue.RECEIVED + 1))
    assert error.reason in (STARTTLS_TOO_LONG, STARTTLS_GARBLED, STARTTLS_INJECTED)


@pytest.mark.parametrize(
    ("name", "line"), [("smtp", b"220-a\r\n"), ("ftp", b"220-a\r\n"), ("sieve", b'"A"\r\n'), ("imap", b"* OK x\r\n")]
)
def test_lines_without_an_end(name: str, line: bytes) -> None:
    assert refused(name, *itertools.repeat(line, 20_000)).reason in (STARTTLS_TOO_LONG, STARTTLS_NOT_OFFERED)
    if name != "imap":
        assert refused(name, line[:-2] + b"a" * 8_000 + b"\r\n" + line * 20_000).reason is STARTTLS_TOO_LONG


def test_the_limits_to_the_byte() -> None:
    line = b"220-" + b"a" * (dialogue.LINE - 6) + b"\r\n"
    assert len(line) == dialogue.LINE
    begun("smtp").receive_data(line)
    assert refused("smtp", b"a" + line).reason is STARTTLS_TOO_LONG

    fits = line * (dialogue.RECEIVED // dialogue.LINE)
    begun("smtp").receive_data(fits)
    assert refused("smtp", fits + b"2").reason is STARTTLS_TOO_LONG

    begun("smtp").receive_data(b"220-\r\n" * dialogue.SAID)
    assert refused("smtp", b"220-\r\n" * (dialogue.SAID + 1)).reason is STARTTLS_TOO_LONG


def test_what_does_not_fit_behind_a_go_ahead_is_injected_too() -> None:
    filler = b"234-" + b"a" * (dialogue.LINE - 6) + b"\r\n"
    greeting = b"220 hi\r\n"
    room = dialogue.RECEIVED - len(greeting)
    answer = filler * (room // dialogue.LINE)
    last = b"234 " + b"a" * (room - len(answer) - 6) + b"\r\n"
    assert refused("ftp", greeting, answer + last + b"evil").reason is STARTTLS_INJECTED


# --- a server that falls silent --------------------------------------------------------------------------------------


@EACH
def test_a_server_that_closes_or_says_nothing(name: str) -> None:
    turns = CONVERSATIONS[name].turns
    for count in range(len(turns)):
        talk = begun(name)
        hold(talk, turns[:count])
        with pytest.raises(ConnectionFailed) as closed:
            talk.receive_data(b"")
        assert closed.value.reason is STARTTLS_CLOSED

        talk = begun(name)
        hold(talk, turns[:count])
        with pytest.raises(HandshakeTimeout) as late:
            talk.handle_timeout()
        assert late.value.reason is STARTTLS_TIMEOUT
        assert late.value.evidence["seconds"] == 30.0


# --- anything --------------------------------------------------------------------------------------------------------


def fed(name: str, data: bytes, cuts: list[int]) -> TLSError | bool:
    """What comes of it: an error, or whether TLS may begin. Anything else is raised."""
    talk = begun(name)
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    try:
        for start, end in itertools.pairwise(places):
            talk.data_to_send()
            talk.receive_data(data[start:end])
            if talk.done:
                return True
        talk.receive_data(b"")
    except TLSError as error:
        return error
    return talk.done


CUTS = st.lists(st.integers(0, 5_000), max_size=12)


@EACH
@given(data=st.data())
def test_random_bytes(name: str, data: st.DataObject) -> None:
    result = fed(name, data.draw(st.binary(max_size=400)), data.draw(CUTS))
    assert result is True or isinstance(result, TLSError)


@EACH
@given(data=st.data())
def test_bytes_that_are_nearly_right(name: str, data: st.DataObject) -> None:
    """A conversation that is right, with some of it changed, doubled or left out, cut anywhere."""
    right = b"".join(CONVERSATIONS[name].turns)
    changed = bytearray(right)
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, max(len(changed) - 1, 0)))
        length = data.draw(st.integers(0, 8))
        changed[at : at + length] = data.draw(st.one_of(st.binary(max_size=8), st.just(right[at : at + 20])))
    result = fed(name, bytes(changed), data.draw(CUTS))
    assert result is True or isinstance(result, TLSError)


@EACH
@given(data=st.data())
def test_each_turn_may_come_in_any_pieces(name: str, data: st.DataObject) -> None:
    talk = begun(name)
    for turn in CONVERSATIONS[name].turns:
        talk.data_to_send()
        places = sorted({0, len(turn), *data.draw(st.lists(st.integers(0, len(turn)), max_size=6))})
        for start, end in itertools.pairwise(places):
            talk.receive_data(turn[start:end])
    talk.data_to_send()
    assert talk.done
