"""Folders that hold a whole system, and commands that run inside of them as in a container.

Needs root, debootstrap, util-linux and the network; no container engine.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

DEBIAN = "bookworm"
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def make_debian(folder: Path) -> None:
    """A minimal Debian, in place of the base image with CUDA, which has no Python either."""
    command = ["debootstrap", "--variant=minbase", "--include=ca-certificates", DEBIAN]
    subprocess.run([*command, str(folder)], check=True, stdout=subprocess.DEVNULL)


def add_python(folder: Path) -> None:
    """Debian's Python under the names that the official Python image has."""
    script = (
        "apt-get update -qq && apt-get install -qq --yes --no-install-recommends python3 "
        "python3-venv python3-pip >/dev/null 2>&1 && ln -s /usr/bin/python3 /usr/local/bin/python "
        "&& rm -rf /var/lib/apt/lists/*"
    )
    run_inside(folder, ["/bin/sh", "-c", script], {"PATH": SEARCH_PATH})


def copy_root(source: Path, target: Path) -> None:
    """A root that can be changed without changing the one it is made from."""
    subprocess.run(["cp", "--archive", "--reflink=auto", source, target], check=True)


def run_inside(
    folder: Path,
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    directory: str = "/",
    mounts: Sequence[Path] = (),
) -> None:
    """Run a build step as root: the root is writable, the network is this machine's."""
    for name in ("resolv.conf", "hosts"):
        shutil.copyfile(Path("/etc") / name, folder / "etc" / name)
    script = [*_system_mounts(folder), *_bind(CERTIFICATES, folder, make=False)]
    for mount in mounts:
        script += _bind(mount, folder, make=True)
    inner = f"cd {shlex.quote(directory)} && exec {shlex.join(command)}"
    script.append(f"exec chroot {folder} /bin/sh -c {shlex.quote(inner)}")
    subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", "\n".join(script)],
        env=dict(environment),
        check=True,
    )
    for mount in mounts:
        (folder / mount.relative_to("/")).rmdir()


class Container:
    """A command in a root that is read-only, as a user without rights; /tmp alone is writable.

    It has its own processes, mounts and network (loopback only), and is process 1.
    """

    def __init__(
        self,
        folder: Path,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        user: str,
        directory: str,
        log: Path,
    ) -> None:
        self._as_user = [
            *("setpriv", f"--reuid={user.partition(':')[0]}", f"--regid={user.partition(':')[2]}"),
            *("--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"),
        ]
        self._environment = dict(environment)
        self._directory = directory
        script = [
            f"mount --bind -o ro {folder} {folder}",
            *_system_mounts(folder),
            f"mount -t tmpfs -o mode=1777,size=256m tmpfs {folder}/tmp",
            "ip link set lo up",
            f"exec chroot {folder} /bin/sh -c {shlex.quote(self._line(command))}",
        ]
        with log.open("w") as output:
            self._process = subprocess.Popen(
                ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "sh", "-ec",
                 "\n".join(script)],
                env={**self._environment, "PATH": f"{environment['PATH']}:{SEARCH_PATH}"},
                stdout=output,
                stderr=subprocess.STDOUT,
            )  # fmt: skip

    @property
    def first_process(self) -> int | None:
        """The number that this machine gives to the container's process 1."""
        own = self._process.pid
        try:
            children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
        except FileNotFoundError:
            return None
        return int(children[0]) if children else None

    @property
    def has_ended(self) -> bool:
        """Whether process 1 is gone."""
        return self._process.poll() is not None

    def execute(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a further command inside, as the same user; what it prints comes back."""
        enter = ["nsenter", f"--target={self.first_process}", "--mount", "--net", "--pid", "--root"]
        return subprocess.run(
            [*enter, "/bin/sh", "-c", self._line(command)],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def signal(self, number: int) -> None:
        """Send a signal to process 1, as an engine does."""
        if (process := self.first_process) is not None:
            os.kill(process, number)

    def wait(self, seconds: float) -> int:
        """The exit code of process 1."""
        return self._process.wait(seconds)

    def kill(self) -> None:
        """End whatever is left of it."""
        self._process.kill()
        self._process.wait()

    def _line(self, command: Sequence[str]) -> str:
        words = [*self._as_user, *command]
        return f"cd {shlex.quote(self._directory)} && exec {shlex.join(words)}"


def _system_mounts(folder: Path) -> list[str]:
    lines = [
        "mount --make-rprivate /",
        f"mount -t proc proc {folder}/proc",
        f"mount -t tmpfs -o mode=755 tmpfs {folder}/dev",
        f"ln -s /proc/self/fd {folder}/dev/fd",
    ]
    for name in DEVICES:
        lines += [f": > {folder}/dev/{name}", f"mount --bind /dev/{name} {folder}/dev/{name}"]
    return lines


def _bind(path: Path, folder: Path, *, make: bool) -> list[str]:
    target = folder / path.relative_to("/")
    lines = [f"mkdir -p {target}"] if make else []
    condition = "" if make else f"[ ! -e {target} ] || "
    return [*lines, f"{condition}mount --bind -o ro {path} {target}"]
