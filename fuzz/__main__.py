"""Runs targets, some at a time: ``python -m fuzz [--seconds=60] [--jobs=2] [--merge] [TARGET...]``"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fuzz.seeds import CORPUS, PREFIX
from fuzz.targets import TARGETS

# What one input may take. A machine that is busy with other things takes its time too, hence so many seconds.
_SECONDS_OF_AN_INPUT = 20
_MEGABYTES = 1_024
_GRACE = 120  # seconds that a run may take longer than it should: it starts, and reads its corpus
_MERGED_SIZE = 4_096  # bytes that a file of the corpus may have
_MERGED_FILES = 24  # of a target, besides its seeds


@dataclass
class Result:
    """How a run ended. ``findings``: the inputs that should not have done what they did."""

    target: str
    executions: int
    seconds: int
    features: int
    findings: list[Path]
    log: str


def main() -> int:
    """0 if there was no finding."""
    options = _options()
    scratch = options.scratch or Path(tempfile.mkdtemp(prefix="handfast-fuzz-"))
    with ThreadPoolExecutor(options.jobs) as pool:
        results = pool.map(lambda name: _run(name, scratch, options), options.targets or list(TARGETS))
        failed = [result for result in map(_shown, results) if result.findings]
    for result in failed:
        _show_finding(result)
    print(f"corpus as it has grown, and logs: {scratch}")
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--runs", type=int, default=-1, help="executions of each target, if that is less")
    parser.add_argument("--jobs", type=int, default=1, help="targets at a time")
    parser.add_argument("--scratch", type=Path, help="where the corpus grows; a new folder by default")
    parser.add_argument(
        "--merge", action="store_true", help="add what reaches new code to the corpus of the repository"
    )
    options = parser.parse_args()
    unknown = set(options.targets) - set(TARGETS)
    if unknown:
        parser.error(f"there is no target {', '.join(unknown)}; there are: {', '.join(TARGETS)}")
    return options


def _run(name: str, scratch: Path, options: argparse.Namespace) -> Result:
    """Fuzz one target, with a copy of its corpus."""
    corpus, found = scratch / name / "corpus", scratch / name / "findings"
    shutil.copytree(CORPUS / name, corpus, dirs_exist_ok=True)
    found.mkdir(exist_ok=True)
    limits = [f"-timeout={_SECONDS_OF_AN_INPUT}", f"-rss_limit_mb={_MEGABYTES}", f"-artifact_prefix={found}/"]
    duration = [f"-max_total_time={options.seconds}", f"-runs={options.runs}", "-print_final_stats=1"]
    log = _fuzzer(name, [str(corpus), *limits, *duration], options.seconds + _GRACE, scratch / name / "log")
    findings = sorted(found.iterdir())
    if options.merge and not findings:
        _merge(name, corpus, scratch / name)
    done = re.search(r"^Done (\d+) runs in (\d+) second", log, re.MULTILINE)
    if done is None and not findings:
        raise RuntimeError(f"{name}: the fuzzer ended without a result:\n{log[-3000:]}")
    features = re.findall(r"\bft: (\d+)", log) or ["0"]
    executions, seconds = (int(done[1]), int(done[2])) if done else (0, 0)
    return Result(name, executions, seconds, int(features[-1]), findings, log)


def _fuzzer(name: str, arguments: list[str], timeout: int, log: Path) -> str:
    """Run the fuzzer; what it printed."""
    command = [sys.executable, "-m", "fuzz.drive", name, *arguments]
    with log.open("wb") as output:
        subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, timeout=timeout)
    return log.read_text(encoding="utf-8", errors="replace")


def _merge(name: str, grown: Path, scratch: Path) -> None:
    """Take over what reaches code that nothing in the repository's corpus does: small files, and not many of them."""
    small, merged = scratch / "small", scratch / "merged"
    for folder in (small, merged):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    for path in grown.iterdir():
        if path.stat().st_size <= _MERGED_SIZE:
            shutil.copy(path, small)
    ours = {path.name for path in shutil.copytree(CORPUS / name, merged, dirs_exist_ok=True).iterdir()}
    _fuzzer(name, ["-set_cover_merge=1", str(merged), str(small)], 3_600, scratch / "log of the merge")
    room = _MERGED_FILES - sum(not each.startswith(PREFIX) for each in ours)
    new = sorted((path for path in merged.iterdir() if path.name not in ours), key=lambda path: path.stat().st_size)
    for path in new[: max(0, room)]:
        shutil.copy(path, CORPUS / name)


def _shown(result: Result) -> Result:
    ended = f"{len(result.findings)} FINDINGS" if result.findings else "nothing found"
    print(
        f"{result.target:22} {result.executions:>10,} executions in {result.seconds:>5} s"
        f" {result.features:>6} features, {ended}",
        flush=True,
    )
    return result


def _show_finding(result: Result) -> None:
    print(f"\n--- {result.target}: the end of its log, and the input in hex for tests/fuzz/test_findings.py\n")
    print(result.log[-4_000:])
    for path in result.findings:
        print(f"{path.name}: {path.read_bytes()[:2_000].hex()}")


if __name__ == "__main__":
    sys.exit(main())
