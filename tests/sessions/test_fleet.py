"""Two processes of `handfast serve` over one real Redis: who was with the one comes back to the other, and no flight counts twice.

The race is run some hundred times; ``HANDFAST_RACES=10000`` says how often, for a long run.
"""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import handfast
from tests.handshake.parties import client_config
from tests.peers import require_peer
from tests.sessions.fleet import NEW_STORE, REPLAYED, REQUEST, SECONDS, UNREACHABLE, Fleet, Flight, fleet, race
from tests.sessions.stores import eventually

if TYPE_CHECKING:
    from handfast.sessions.session import Session

RACES = int(os.environ.get("HANDFAST_RACES", "200"))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The fleet of all tests that leave it as it is. Its store is old enough for early data."""
    with fleet(tmp_path_factory.mktemp("fleet")) as running:
        running.is_old()
        yield running


# --- clients --------------------------------------------------------------------------------------------------------


def openssl(port: int, folder: Path, *options: str) -> str:
    """What OpenSSL's client says of one visit, to which the server has answered to the end."""
    command = [require_peer("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost"]
    run = subprocess.run(
        [*command, "-CAfile", "ca.pem", "-verify_return_error", "-ign_eof", *options],
        cwd=folder, input=REQUEST, capture_output=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    said = run.stdout.decode()
    assert "HTTP/1.1 200 OK" in said, said + run.stderr.decode()
    return said


def visit(port: int, config: handfast.ClientConfig) -> tuple[bool, bytes]:
    """Our own client: whether it was resumed, and the last ticket that it got. Raises what ends a connection too early."""
    kept: list[Any] = []
    with handfast.connect(
        "127.0.0.1", port, config=config, server_name="localhost", timeout=SECONDS, on_session=kept.append
    ) as tls:
        tls.sendall(REQUEST)
        answer = b""
        while data := tls.recv():
            answer += data
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer
        return tls.handshake.resumed, kept[-1].ticket if kept else b""


# --- coming back to the other one -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "by"), [(["-tls1_3"], "ticket"), (["-tls1_2"], "ticket"), (["-tls1_2", "-no_ticket"], "session ID")]
)
def test_openssl_comes_back_to_the_other_process(shared: Fleet, tmp_path: Path, options: list[str], by: str) -> None:
    file = str(tmp_path / "session")
    before = [len(node.came_back(0)) for node in shared.nodes]
    one, other = shared.ports
    assert "\nNew, " in openssl(one, shared.folder, *options, "-sess_out", file)
    # What a session of TLS 1.2 by ID gives no ticket for, the next one goes back to: the file is written at each visit.
    for port in (other, one):
        assert "\nReused, " in openssl(port, shared.folder, *options, "-sess_in", file, "-sess_out", file)
    for node, count in zip(shared.nodes, before, strict=True):
        last = node.came_back(count + 1)[-1]
        assert (last["by"], last["resumed"]) == (by, True)


@pytest.mark.parametrize("version", ["1.3", "1.2"])
def test_our_client_comes_back_to_the_other_process(shared: Fleet, version: str) -> None:
    config = client_config(sessions=handfast.MemorySessions(), max_version=version)
    ports = itertools.islice(itertools.cycle(shared.ports), 4)
    assert [visit(port, config)[0] for port in ports] == [False, True, True, True]


def test_openssls_early_data_is_taken_by_the_other_process(shared: Fleet, tmp_path: Path) -> None:
    file, early = str(tmp_path / "session"), tmp_path / "early"
    early.write_bytes(REQUEST)
    one, other = shared.ports
    openssl(one, shared.folder, "-tls1_3", "-sess_out", file)

    def taken() -> bool:
        said = openssl(other, shared.folder, "-tls1_3", "-sess_in", file, "-early_data", str(early))
        assert "\nReused, " in said
        return "Early data was accepted" in said

    eventually(taken, SECONDS)  # a node that has just missed the store takes none for a window


# --- early data -----------------------------------------------------------------------------------------------------


class Races:
    """What has come of races: how many were won, by which node, and lost by all."""

    def __init__(self, running: Fleet) -> None:
        self._fleet = running
        self.won = [0, 0]
        self.lost = 0

    @property
    def count(self) -> int:
        return sum(self.won)

    def run(self, flight: Flight) -> None:
        """Send one flight to both, by turns to the one or the other first."""
        order = (0, 1) if self.count % 2 else (1, 0)
        taken = dict(zip(order, race(flight, [self._fleet.ports[number] for number in order]), strict=True))
        assert sum(taken.values()) <= 1, "it was taken twice"
        for number, won in taken.items():
            self.won[number] += won
        self.lost += not any(taken.values())


@pytest.mark.timeout(120 + RACES // 10)
def test_of_one_flight_that_is_raced_to_both_one_takes_the_early_data(tmp_path: Path) -> None:
    with fleet(tmp_path) as running:
        running.is_old()
        session = running.session()
        races = Races(running)
        while races.count < RACES:
            races.run(Flight(session))
    print(f"{races.count} races, won by {races.won}, and {races.lost} more with no winner")
    lines = [line for node in running.nodes for line in node.early()]
    assert len(lines) == 2 * (races.count + races.lost) + 2, "and those by which the nodes have met the store"
    assert sum(line["requests"] == ["GET / 200"] for line in lines) == races.count, "what was early is done once"
    assert sum(len(line["requests"]) for line in lines) == races.count
    refused = Counter(line["session"]["early_data_why_not"] for line in lines)
    assert refused[None] == races.count
    # The one that may have none is a node that waited too long for the store: then nobody takes it, rather than both.
    assert set(refused) <= {None, REPLAYED, UNREACHABLE, NEW_STORE}
    assert refused[NEW_STORE] <= 2
    assert refused[REPLAYED] >= races.count - refused[UNREACHABLE]
    assert races.lost == 0 or refused[UNREACHABLE]


def test_a_flight_of_openssl_is_taken_once_too(shared: Fleet, tmp_path: Path) -> None:
    file, early = str(tmp_path / "session"), tmp_path / "early"
    early.write_bytes(REQUEST)
    openssl(shared.ports[0], shared.folder, "-tls1_3", "-sess_out", file)
    won = Counter[int]()

    def raced() -> bool:
        flight = recorded("-tls1_3", "-sess_in", file, "-early_data", str(early))
        answers = sent(flight, shared.ports)
        refused = len(sent(flight, shared.ports[:1])[0])  # by now it is a replay to all
        taken = [len(answer) - refused for answer in answers]
        assert taken in ([0, 0], [0, 4], [4, 0]), "4 bytes of EncryptedExtensions say that it was taken"
        if any(taken):
            won[taken.index(4)] += 1
        return won.total() >= 5

    eventually(raced, SECONDS)


def recorded(*options: str) -> bytes:
    """The first flight of OpenSSL's client, with early data, as somebody on the way could record it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [require_peer("openssl"), "s_client", "-connect", f"127.0.0.1:{listener.getsockname()[1]}"]
        with subprocess.Popen(
            [*command, "-servername", "localhost", *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            listener.settimeout(SECONDS)
            client, _ = listener.accept()
            with client:
                client.settimeout(SECONDS)
                data = b""
                while not _has_early_data(data):
                    piece = client.recv(65_536)
                    assert piece, "OpenSSL has sent no early data"
                    data += piece
            process.wait(SECONDS)
    return data


def _has_early_data(flight: bytes) -> bool:
    while len(flight) >= 5:
        length = 5 + int.from_bytes(flight[3:5])
        if flight[0] == 23:
            return len(flight) >= length
        flight = flight[length:]
    return False


def sent(flight: bytes, ports: list[int]) -> list[bytes]:
    """What servers answer to one flight that comes to all at a time; more than a flight of their own they do not send."""
    socks = [socket.create_connection(("127.0.0.1", port), timeout=SECONDS) for port in ports]
    try:
        for sock in socks:
            sock.sendall(flight)
        return [sock.recv(65_536) for sock in socks]
    finally:
        for sock in socks:
            sock.close()


# --- under load -----------------------------------------------------------------------------------------------------


class Load:
    """Clients that come back to the two nodes by turns, and note how it was.

    ``resumed``   of the visits by which client, and whether they were resumed; the first visit of each is not counted
    ``keys``      the names of the keys that our clients' tickets were sealed under
    ``failures``  what went wrong: there should be nothing
    """

    def __init__(self, running: Fleet, folder: Path) -> None:
        self._fleet = running
        self._folder = folder
        self._over = threading.Event()
        self.resumed: Counter[tuple[str, bool]] = Counter()
        self.keys: set[bytes] = set()
        self.failures: list[BaseException] = []

    @property
    def visits(self) -> int:
        return self.resumed.total()

    @contextmanager
    def running(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._work, args=client) for client in self._clients()]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join(SECONDS)
        assert not self.failures, self.failures

    def more(self, visits: int) -> None:
        """Wait for so many more."""
        before = self.visits
        eventually(lambda: self.failures or self.visits >= before + visits)

    def _clients(self) -> Iterator[tuple[str, Callable[[int], bool]]]:
        for name, version in (("1.3", "1.3"), ("1.3 again", "1.3"), ("1.2", "1.2")):
            yield name, self._ours(version)
        for name, options in (("openssl 1.3", ["-tls1_3"]), ("openssl 1.2 by ID", ["-tls1_2", "-no_ticket"])):
            yield name, self._openssl(name, options)

    def _ours(self, version: str) -> Callable[[int], bool]:
        config = client_config(sessions=handfast.MemorySessions(), max_version=version)

        def come(port: int) -> bool:
            resumed, ticket = visit(port, config)
            if ticket:
                self.keys.add(ticket[:16])
            return resumed

        return come

    def _openssl(self, name: str, options: list[str]) -> Callable[[int], bool]:
        file = self._folder / name

        def come(port: int) -> bool:
            known = ["-sess_in", str(file)] if file.exists() else []
            said = openssl(port, self._fleet.folder, *options, *known, "-sess_out", str(file))
            return "\nReused, " in said

        return come

    def _work(self, name: str, come: Callable[[int], bool]) -> None:
        try:
            come(self._fleet.ports[0])
            for port in itertools.cycle(self._fleet.ports):
                if self._over.is_set():
                    return
                self.resumed[name, come(port)] += 1
        except BaseException as error:
            self.failures.append(error)


def taken(running: Fleet, session: Session) -> list[Flight]:
    """Some flights whose early data was taken, by one node or the other. Empty as long as one that is new is refused."""
    flights = [Flight(session, ahead=9.0) for _ in range(10)]
    for flight, port in zip(flights, itertools.cycle(running.ports)):
        if not any(race(flight, [port])):
            return []
    return flights


def replay(running: Fleet, flights: list[Flight]) -> None:
    """Send flights, which were taken, to both nodes: none of them is taken again."""
    for flight in flights:
        assert not any(race(flight, running.ports)), "a replay was taken"


def test_keys_rotate_under_load_and_everyone_comes_back(tmp_path: Path) -> None:
    with fleet(tmp_path, hasty=True) as running:
        running.is_met()
        load = Load(running, tmp_path)
        with load.running():
            eventually(lambda: load.failures or len(load.keys) >= 4, SECONDS)
            load.more(20)
        full = [again["why_not"] for node in running.nodes for again in node.came_back(0) if not again["resumed"]]
    print(f"{load.visits} visits, tickets under {len(load.keys)} keys")
    assert full == []
    assert not any(count for (_, resumed), count in load.resumed.items() if not resumed), load.resumed


def test_redis_is_killed_and_restarted_empty_under_load(tmp_path: Path) -> None:
    with fleet(tmp_path) as running:
        running.is_old()
        session = running.session()
        load = Load(running, tmp_path)
        with load.running():
            load.more(20)
            flights = eventually(lambda: load.failures or taken(running, session), SECONDS)
            running.redis.kill()
            replay(running, flights)  # while it is gone
            load.more(50)
            running.redis.start()
            replay(running, flights)  # and when it is back, and knows nothing
            load.more(50)
            replay(running, flights)
            # The window over, flights are taken again, and each once.
            replay(running, eventually(lambda: load.failures or taken(running, session), SECONDS))
    why = Counter(line["session"]["early_data_why_not"] for node in running.nodes for line in node.early())
    print(f"{load.visits} visits: {dict(load.resumed)}; early data: {dict(why)}")
    assert why[NEW_STORE] + why[UNREACHABLE] >= len(flights)
    assert set(why) <= {None, NEW_STORE, UNREACHABLE, REPLAYED}
    # A ticket needs no store. What is known by its ID alone is gone with it, and is made anew.
    assert {name for (name, resumed) in load.resumed if not resumed} <= {"openssl 1.2 by ID"}
    assert load.resumed["openssl 1.2 by ID", True]
