"""Read rule packs as strangers might send them, each in a process with little memory and processor time.

    python -m tests.bounded FOLDER...      one line of JSON for each: what came of it

Each folder is a pack. It is loaded, checked as text, and every file of it put in order (in memory). `outcome` is "read"
with the codes found, "refused" with the message of a `WeirError`, or "crashed" with the traceback; a process that ran
out of time or was killed is "killed" with the signal.
"""

import json
import os
import resource
import sys
import traceback
from pathlib import Path

MEMORY_BYTES = 1_500 * 1024 * 1024  # above what the process has when it begins
CPU_SECONDS = 60


def attempt(folder: Path) -> dict[str, object]:
    """Do with a pack all that is done before anything of it runs."""
    from config import marks, schema
    from config.errors import ConfigError
    from config.settings import BANK
    from rules import pack
    from rules.check import findings
    from rules.format import formatted

    try:
        loaded = pack.load([folder], schema.read(BANK / "schema.yaml"))
    except ConfigError as error:
        return {"outcome": "refused", "what": str(error)[:300]}
    text = findings.as_text(loaded.findings)
    n_refused = 0
    for path in sorted(folder.rglob("*.yaml")):
        try:
            formatted(marks.read_text(path), path.name, is_head=path.name == "pack.yaml")
        except ConfigError:
            n_refused += 1
    codes = sorted({f.code for f in loaded.findings})
    return {
        "outcome": "read",
        "codes": codes,
        "is_usable": loaded.pack is not None,
        "n_refused": n_refused,
        "text": text[:300],
        "text_chars": len(text),
    }


def _limited(folder: Path) -> dict[str, object]:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    try:
        return attempt(folder)
    except BaseException as error:  # noqa: BLE001  everything is told
        return {
            "outcome": "crashed",
            "what": repr(error)[:300],
            "trace": traceback.format_exc()[-1500:],
        }


def main(folders: list[str]) -> None:
    """Fork for each folder, so that nothing is imported twice."""
    import rules.format
    import rules.pack  # noqa: F401

    for name in folders:
        read_end, write_end = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(read_end)
            with os.fdopen(write_end, "w") as out:
                json.dump(_limited(Path(name)), out)
            os._exit(0)
        os.close(write_end)
        with os.fdopen(read_end) as told:
            text = told.read()
        _, status = os.waitpid(pid, 0)
        if not text:
            text = json.dumps({"outcome": "killed", "signal": os.WTERMSIG(status)})
        print(text, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
