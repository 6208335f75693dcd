"""All targets, by name."""

from fuzz.target import Target
from fuzz.targets import certificates, checks, connections, containers, messages, records, small_texts, stored

_ALL = [
    *messages.TARGETS,
    *records.TARGETS,
    *certificates.TARGETS,
    *checks.TARGETS,
    *containers.TARGETS,
    *small_texts.TARGETS,
    *connections.TARGETS,
    *stored.TARGETS,
]

TARGETS: dict[str, Target] = {target.name: target for target in _ALL}
assert len(TARGETS) == len(_ALL), "two targets have one name"
