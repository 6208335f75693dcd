"""Issuers that a server forgot to send, looked for where its certificate says that they are (RFC 5280 section 4.2.2.1).

No sockets: a :class:`Completion` is a script that asks for what has to be fetched, and transport/fetching.py answers::

    content = yield Fetch("http://authority.example/issuer.der")

The address stands in a certificate that nobody has verified, and what comes from it could be anybody's. So

- what is fetched is a candidate, and goes through the same checks as what the server sends. Only what has signed a
  certificate that we have is kept at all, and never a root: roots are trusted, or not, by the one who runs this;
- where a request goes, how many there are, how much they bring and how long that takes is bounded (:class:`~handfast.certificates.fetch_policy.FetchPolicy`).
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from handfast import reasons
from handfast.certificates import containers
from handfast.certificates.parsed import parsed
from handfast.certificates.path import is_signed_by
from handfast.certificates.peer import PROOF, PeerIdentity
from handfast.certificates.strength import excessive_key
from handfast.clock import SYSTEM_CLOCK, Clock
from handfast.errors import CertificateError, FetchFailed, UnknownIssuer, shown
from handfast.limits import CERTIFICATES_OF_A_CHAIN, ISSUER_ADDRESSES, ISSUERS_OF_AN_ANSWER

if TYPE_CHECKING:
    from handfast.certificates.fetch_policy import FetchPolicy
    from handfast.certificates.parsed import Parsed

_URL_SHOWN: Final = 200  # characters


# --- what is asked, and what comes -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fetch:
    """What a script asks for: the content of an address. It is answered with a Content or a FetchFailed.

    ``known``  what the address has brought before (DER), and is of no use this time
    """

    url: str
    known: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Content:
    """What was fetched. ``media_type`` is that of the answer, in small letters and without parameters; "" for none."""

    body: bytes = field(repr=False)
    media_type: str = ""


Script = Generator[Fetch, "Content | FetchFailed", PeerIdentity]

# RFC 2585 section 4 and RFC 5280 section 4.2.2.1 have the first two. The others are what servers call the same: those that
# know no such file name say that it is bytes, or text.
_TYPES: Final = frozenset(
    (
        "",
        "application/pkix-cert",
        "application/pkcs7-mime",
        "application/octet-stream",
        "application/pem-certificate-chain",
        "application/pkcs7",
        "application/x-pem-file",
        "application/x-pkcs7-certificates",
        "application/x-pkcs7-certreqresp",
        "application/x-pkcs7-crl",
        "application/x-pkcs7-mime",
        "application/x-x509-ca-cert",
        "application/x-x509-server-cert",
        "application/x-x509-user-cert",
        "binary/octet-stream",
        "text/plain",
    )
)


def check_type(media_type: str) -> None:
    """Raise FetchFailed for an answer that is plainly something else, such as a page of a captive portal."""
    if media_type not in _TYPES:
        raise FetchFailed(reasons.FETCH_TYPE, media_type=media_type)


def candidates(content: Content) -> list[bytes]:
    """The certificates (DER) in what was fetched: one in DER, or several in PKCS#7 or PEM. Raises FetchFailed."""
    check_type(content.media_type)
    try:
        return containers.certificates(content.body)[:ISSUERS_OF_AN_ANSWER]
    except CertificateError as error:
        problem = error.evidence.get("problem", "")
        raise FetchFailed(reasons.FETCH_NO_CERTIFICATE, bytes=len(content.body), problem=problem) from None


# --- what is remembered -------------------------------------------------------------------------------------------------------


class IssuerCache:
    """What addresses have brought, so that none is asked for each connection. Any number of threads share one.

    ``size``     addresses that are remembered; where a new one has no room, the one that was not used for longest goes
    ``most``     bytes in all, of addresses, certificates and what is told of failures: peers choose all three
    ``seconds``  how long a certificate is remembered that has proved to be an issuer. Nothing else of an answer is kept
    ``failed``   how long a failure is: the address is not asked again in this time
    """

    def __init__(
        self,
        size: int = 256,
        *,
        most: int = 4_194_304,
        seconds: float = 86_400.0,
        failed: float = 60.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._size = size
        self._most = most
        self._held = 0  # bytes
        self._seconds = seconds
        self._failed = failed
        self._clock = clock
        self._lock = threading.Lock()
        self._found: OrderedDict[str, tuple[float, tuple[bytes, ...] | FetchFailed, int]] = OrderedDict()

    def __len__(self) -> int:
        """How many addresses are remembered."""
        return len(self._found)

    def find(self, url: str) -> tuple[bytes, ...] | FetchFailed | None:
        """The certificates (DER) that an address has brought, or why it brought none; None where nothing is known."""
        with self._lock:
            until, found, _ = self._found.get(url, (0.0, None, 0))
            if found is None:
                return None
            if self._clock.monotonic() >= until:
                self._drop(url)
                return None
            self._found.move_to_end(url)
        return found.copy() if isinstance(found, FetchFailed) else found

    def keep(self, url: str, found: tuple[bytes, ...] | FetchFailed) -> None:
        """Remember what came of an address."""
        seconds = self._failed if isinstance(found, FetchFailed) else self._seconds
        size = _size(url, found)
        if self._size < 1 or seconds <= 0 or size > self._most:
            return
        with self._lock:
            self._drop(url)
            self._found[url] = (self._clock.monotonic() + seconds, found, size)
            self._held += size
            while len(self._found) > self._size or self._held > self._most:
                self._drop(next(iter(self._found)))

    def _drop(self, url: str) -> None:
        _, _, size = self._found.pop(url, (0.0, (), 0))
        self._held -= size


def _size(url: str, found: tuple[bytes, ...] | FetchFailed) -> int:
    """About how many bytes an address takes, with what is remembered of it."""
    content = map(str, found.evidence.values()) if isinstance(found, FetchFailed) else found
    return len(url) + sum(map(len, content))


# --- the script -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Attempt:
    """One address that was asked, or looked up among those asked before.

    ``found``   the issuers that came (DER)
    ``failed``  why none came
    ``cached``  whether it was asked earlier
    """

    url: str
    found: tuple[bytes, ...] = field(default=(), repr=False)
    failed: FetchFailed | None = None
    cached: bool = False

    def __str__(self) -> str:
        """One line for people."""
        if self.failed is None:
            return f"{_short(self.url)}: brought the issuer"
        facts = "; ".join(f"{name.replace('_', ' ')}: {shown(value)}" for name, value in self.failed.evidence.items())
        return f"{_short(self.url)}: {self.failed.reason.sentence}{f' ({facts})' if facts else ''}"


def _short(url: str) -> str:
    return shown(url if len(url) <= _URL_SHOWN else url[:_URL_SHOWN] + "...")


# These say something of the certificate for which an address was asked, or of the time that was left for it. Remembered of
# the address, they would let any server whose certificate names the same one keep the issuer from all the others.
_OF_WHO_ASKS: Final = (reasons.FETCH_NOT_THE_ISSUER, reasons.FETCH_TIMEOUT, reasons.FETCH_UNREACHABLE)


class Completion:
    """One chain, and what is fetched to complete it.

    ``sent``      the chain as the peer sent it (DER)
    ``fetched``   the issuers that were fetched, each with its address
    ``attempts``  the addresses that were asked
    """

    def __init__(self, chain: Sequence[bytes], policy: FetchPolicy, cache: IssuerCache) -> None:
        self.sent = tuple(chain)
        self.fetched: dict[bytes, str] = {}
        self.attempts: list[Attempt] = []
        self._policy = policy
        self._cache = cache
        self._asked: set[str] = set()
        self._levels = 0

    def run(self, verify: Callable[[tuple[bytes, ...]], PeerIdentity]) -> Script:
        """Verify the chain, and again with each issuer that was missing, until it is accepted or nothing is left to ask.

        ``verify``  accepts or refuses a chain, as a ChainVerifier does

        Raises what ``verify`` raises. Where an issuer is still missing, ``evidence["fetching"]`` says what was tried, and
        ``evidence["internal_address"]`` which address would have to be allowed (:attr:`FetchPolicy.networks`), if one would.
        """
        while True:
            try:
                return self._of_peer(verify((*self.sent, *self.fetched)))
            except UnknownIssuer as error:
                problem: CertificateError = error
            except CertificateError as error:
                raise self._placed(error) from None
            last = None if problem.certificate is None else parsed(problem.certificate)
            if last is None or last.self_issued or not (yield from self._fetch(last)):
                raise self._explained(problem) from None

    def _fetch(self, last: Parsed) -> Generator[Fetch, Content | FetchFailed, bool]:
        """Ask for the issuer of the last certificate of a path: whether something new came."""
        found = last.issuer_addresses[:ISSUER_ADDRESSES]
        self._levels += 1
        for url in found:
            if url in self._asked:
                continue  # a circle: certificates that name each other's addresses
            self._asked.add(url)
            attempt = yield from self._attempt(url, last)
            self.attempts.append(attempt)
            for der in attempt.found:
                self.fetched.setdefault(der, url)
            if attempt.found:
                return True
        return False

    def _attempt(self, url: str, last: Parsed) -> Generator[Fetch, Content | FetchFailed, Attempt]:
        if not url.lower().startswith("http://"):
            return Attempt(url, failed=FetchFailed(reasons.FETCH_NOT_HTTP))
        known, own = self._cache.find(url), f"{url} {hashlib.sha256(last.der).hexdigest()}"
        failed = known if isinstance(known, FetchFailed) else self._cache.find(own)
        if isinstance(failed, FetchFailed):
            return Attempt(url, failed=failed, cached=True)
        before = known if isinstance(known, tuple) else ()
        useful = self._useful(before, last)
        if useful:
            return Attempt(url, useful, cached=True)
        limit = self._limit()
        if limit is not None:
            return Attempt(url, failed=FetchFailed(reasons.FETCH_LIMIT, allowed=limit))
        answer = yield Fetch(url, before)
        try:
            if isinstance(answer, FetchFailed):
                raise answer
            useful = self._useful(candidates(answer), last)
            if not useful:
                raise self._useless(answer)
        except FetchFailed as error:
            failed = error.copy()
            if failed.reason is not reasons.FETCH_BUSY:  # then nobody has been asked
                self._cache.keep(own if before or failed.reason in _OF_WHO_ASKS else url, failed)
            return Attempt(url, failed=failed)
        # One address may have the issuers of several: of those before, it keeps as many as there is room for.
        self._cache.keep(url, tuple(dict.fromkeys((*useful, *before)))[:CERTIFICATES_OF_A_CHAIN])
        return Attempt(url, useful)

    def _limit(self) -> str | None:
        """What has been used up."""
        policy = self._policy
        if self._levels > policy.depth:
            return f"{policy.depth} missing certificates, one above the other"
        if sum(not attempt.cached for attempt in self.attempts) >= policy.fetches:
            return f"{policy.fetches} addresses"
        return None

    def _useful(self, ders: Sequence[bytes], last: Parsed) -> tuple[bytes, ...]:
        """Those that have signed ``last``, or one another up to it; no root, and nothing that we have.

        Each is looked at as an issuer of each that is kept, which is bounded by what a chain may have.
        """
        had = {*self.sent, *self.fetched}
        room = CERTIFICATES_OF_A_CHAIN - len(had)
        left = [item for item in map(parsed, ders) if item.der not in had and not item.self_issued]
        kept: list[Parsed] = []
        waiting = [last]
        while waiting and len(kept) < room:
            below = waiting.pop(0)
            issuers = [item for item in left if _has_signed(item, below)][: room - len(kept)]
            left = [item for item in left if item not in issuers]
            kept += issuers
            waiting += issuers
        return tuple(item.der for item in kept)

    def _useless(self, answer: Content) -> FetchFailed:
        """Why certificates that came are of no use."""
        came = [parsed(der) for der in candidates(answer)]
        problem = "it has another name or key"
        if all(item.der in self.sent or item.der in self.fetched for item in came):
            problem = "it is one that we have already"
        elif all(item.self_issued for item in came):
            problem = "it is a root, and roots that are not trusted here are not fetched"
        return FetchFailed(
            reasons.FETCH_NOT_THE_ISSUER, problem=problem, subject=came[0].subject or "(empty)", certificates=len(came)
        )

    def _of_peer(self, identity: PeerIdentity) -> PeerIdentity:
        """The identity with the chain as the peer sent it: its path tells what was added."""
        if not self.fetched:
            return identity
        leaf, kind = parsed(self.sent[0]), identity.verified_by
        return PeerIdentity(PROOF, leaf, self.sent, identity.path, identity.server_name, kind)

    def _placed(self, error: CertificateError) -> CertificateError:
        """An error about a certificate says where that came from."""
        if "position" not in error.evidence or not self.fetched:
            return error
        if error.certificate in self.fetched:
            error.evidence["position"] = f"fetched from {self.fetched[error.certificate]}"
        elif error.certificate in self.sent:
            number = self.sent.index(error.certificate) + 1
            error.evidence["position"] = f"certificate {number} of {len(self.sent)}"
        return error

    def _explained(self, error: CertificateError) -> CertificateError:
        self._placed(error)
        if self.attempts:
            error.evidence["fetching"] = [str(attempt) for attempt in self.attempts]
            failures = [attempt.failed for attempt in self.attempts if attempt.failed is not None]
            inner = [item.evidence.get("address") for item in failures if item.reason is reasons.FETCH_ADDRESS]
            if any(inner):
                error.evidence["internal_address"] = next(filter(None, inner))
        elif error.certificate is not None and not parsed(error.certificate).self_issued:
            error.evidence["fetching"] = "the certificate does not say where its issuer can be had"
        return error


def _has_signed(issuer: Parsed, certificate: Parsed) -> bool:
    fits = certificate.may_be_issued_by(issuer) and excessive_key(issuer) is None
    return fits and is_signed_by(certificate, issuer) is True
