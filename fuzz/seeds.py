"""Makes the corpus anew: ``python -m fuzz.seeds``. What `make fuzz-merge` has added to it stays.

A seed is a file "seed-NAME"; all other files have been found by fuzzing.
"""

from __future__ import annotations

from pathlib import Path

from fuzz.targets import TARGETS

CORPUS = Path(__file__).with_name("corpus")
PREFIX = "seed-"


def main() -> None:
    """Write the seeds of all targets."""
    for target in TARGETS.values():
        folder = CORPUS / target.name
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(f"{PREFIX}*"):
            old.unlink()
        for name, data in target.seeds().items():
            (folder / f"{PREFIX}{name}").write_bytes(data)
        print(f"{target.name:22} {len(list(folder.iterdir())):>4} files")


if __name__ == "__main__":
    main()
