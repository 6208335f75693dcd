"""Runs one target under atheris: ``python -m fuzz.drive TARGET [FOLDER...] [-libfuzzer_option=value...]``

Only this module needs atheris. The fuzzer calls the target until its time is over or there is a finding, and exits.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import warnings
from random import Random

import atheris

with atheris.instrument_imports(include=["handfast"]):
    import handfast

    # `import handfast` loads next to nothing; what is loaded later than here is not instrumented.
    for module in pkgutil.walk_packages(handfast.__path__, "handfast."):
        elsewhere = module.name.startswith(
            ("handfast.cli", "handfast.__main__", "handfast.transport", "handfast.observe")
        )
        if not elsewhere or module.name.startswith(("handfast.transport.stores", "handfast.transport.fetching")):
            importlib.import_module(module.name)

from fuzz.targets import TARGETS


def main() -> None:
    """Fuzz the target that the first argument names; the others are the fuzzer's."""
    warnings.simplefilter("ignore")  # of odd certificates, which here are most
    target = TARGETS[sys.argv[1]]
    # To merge corpora the fuzzer runs this command again, through a shell, with its own options behind it.
    command = f"{sys.executable} -m fuzz.drive {target.name}"
    options = {}
    if target.mutate is not None:
        mutate = target.mutate

        def custom_mutator(data: bytes, limit: int, seed: int) -> bytes:
            return mutate(data, limit, Random(seed), atheris.Mutate)

        options["custom_mutator"] = custom_mutator
    atheris.Setup([command, *sys.argv[2:], f"-max_len={target.max_length}"], target.run, **options)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
