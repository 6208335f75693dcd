"""What holds a secret derives from :class:`Guarded`: it cannot be pickled or copied, and its repr shows nothing."""

from __future__ import annotations

from typing import NoReturn, SupportsIndex

from handfast.errors import MisuseError


class Guarded:
    """Two holders of one key and one sequence number would use a nonce twice, so there is never a second holder."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise MisuseError(problem=f"a {type(self).__name__} cannot be pickled or copied")

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"
