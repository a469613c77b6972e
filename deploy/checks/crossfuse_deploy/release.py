"""Builds a release and tries it where no repository is; publishes nothing.

    python -m crossfuse_deploy.release --output dist

The changelog must have the version. The wheel is built from the sdist, so both are complete; its
files are compared with the checkout, it is installed into an empty environment elsewhere, and
`crossfuse demo` must run from there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from crossfuse._version import __version__
from crossfuse_deploy.wheel_contents import changelog_faults, faults

CHECKOUT = Path(__file__).resolve().parents[3]
PICTURES = ("ir.png", "vis.png", "fused.png", "comparison.png")
LOOK = """
import importlib.util, json, pathlib, crossfuse
print(json.dumps({
    "folder": str(pathlib.Path(crossfuse.__file__).parent),
    "torch": importlib.util.find_spec("torch") is not None,
}))
"""


class ReleaseFailed(Exception):
    """What keeps a release from being one."""


def main(words: list[str] | None = None) -> int:
    """Build, check and try; 0 where the files in the output folder may be published."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("dist"))
    args = parser.parse_args(words)
    try:
        stop_at(changelog_faults((CHECKOUT / "CHANGELOG.md").read_text("utf-8"), __version__))
        print(f"ok  CHANGELOG.md has {__version__}")
        wheel = build(args.output)
        stop_at(faults(wheel, CHECKOUT, __version__))
        print(f"ok  {wheel.name} holds the packages and nothing else")
        with tempfile.TemporaryDirectory(prefix="crossfuse-release-") as scratch:
            try_wheel(wheel, Path(scratch))
    except (ReleaseFailed, subprocess.CalledProcessError) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    return 0


def build(output: Path) -> Path:
    """sdist and wheel, in an output folder that holds nothing else afterwards."""
    shutil.rmtree(output, ignore_errors=True)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(output)]
    subprocess.run([*command, str(CHECKOUT)], check=True, stdout=subprocess.DEVNULL)
    made = sorted(path.name for path in output.iterdir())
    expected = [f"crossfuse-{__version__}-py3-none-any.whl", f"crossfuse-{__version__}.tar.gz"]
    stop_at([] if made == expected else [f"{output}: got {made}; valid: {expected}"])
    for path in sorted(output.iterdir()):
        print(f"ok  {path.name}: {path.stat().st_size / 1e6:.1f} MB")
    return output / expected[0]


def try_wheel(wheel: Path, scratch: Path) -> None:
    """Install the wheel into an empty environment and run the demo with nothing else around."""
    venv.create(scratch / "environment", with_pip=True)
    program = scratch / "environment" / "bin"
    elsewhere = scratch / "elsewhere"
    elsewhere.mkdir()
    hidden = ("PYTHON", "CROSSFUSE_", "VIRTUAL_ENV")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}

    def run(*command: str | Path) -> str:
        done = subprocess.run(
            command, cwd=elsewhere, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise ReleaseFailed(f"{Path(command[0]).name} {command[1]}: {done.stderr.strip()}")
        return done.stdout

    install = ("-m", "pip", "install", "--quiet", "--constraint", CHECKOUT / "constraints.txt")
    run(program / "python", *install, f"{wheel.resolve()}[cpu,server]")
    found = json.loads(run(program / "python", "-c", LOOK))
    if CHECKOUT in Path(found["folder"]).parents or found["torch"]:
        raise ReleaseFailed(f"the empty environment has {found}")
    print(f"ok  installed without torch into {found['folder']}")
    stop_at([] if __version__ in run(program / "crossfuse", "--version") else ["--version"])
    print(run(program / "crossfuse", "demo", "--output", "demo").strip())
    missing = [name for name in PICTURES if not (elsewhere / "demo" / name).is_file()]
    stop_at([f"crossfuse demo did not write {name}" for name in missing])
    print("ok  crossfuse demo runs from the wheel alone")
    run(program / "crossfuse", "models", "verify")
    print("ok  crossfuse models verify")


def stop_at(wrong: list[str]) -> None:
    """Raise what is wrong, if anything is."""
    if wrong:
        raise ReleaseFailed("; ".join(wrong))


if __name__ == "__main__":
    sys.exit(main())
