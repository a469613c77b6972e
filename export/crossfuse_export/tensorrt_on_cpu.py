"""A TensorRT builder for machines without a GPU: TensorRT-RTX, driven by TensorRT 11's bindings.

The wheel of the RTX plugin holds the whole of TensorRT-RTX, which builds engines on the CPU, and
the bindings of TensorRT 11 load it where they expect their own library. Both are installed into a
folder of the caller's, for tests alone: nothing of them is kept or passed on. What it builds can
only be run on an RTX GPU; that every layer is taken, typed and fits its profiles is proven here.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import cast

from crossfuse.engines.tensorrt_api import TensorRT
from crossfuse.engines.tensorrt_key import Platform
from crossfuse.errors import OutputError, ProviderUnavailable

RTX = "onnxruntime-ep-nv-tensorrt-rtx-cu13==0.5.0"
BINDINGS = "tensorrt_cu13_bindings==11.4.0.106"
_RTX_FOLDER = "onnxruntime_ep_nv_tensorrt_rtx"
_LINKS = {
    "libtensorrt_rtx.so": ("libnvinfer.so.11", "libtensorrt_rtx.so.1"),
    "libtensorrt_onnxparser_rtx.so": ("libnvonnxparser.so.11", "libtensorrt_onnxparser_rtx.so.1"),
}
# The bindings want a third library, for one function that registers plugins; we use none.
_PLUGINS = "libnvinfer_plugin.so.11"
_NO_PLUGINS = "int initLibNvInferPlugins(void *logger, const char *space) { return 1; }\n"


def install(folder: Path) -> dict[str, str]:
    """Put both wheels into a folder; returns the environment that a process needs to use them."""
    packages, libraries = folder / "packages", folder / "libraries"
    libraries.mkdir(parents=True)
    _run(
        [
            sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet",
            "--no-deps", "--only-binary=:all:", "--target", str(packages), RTX, BINDINGS,
        ],
        f"{RTX} and {BINDINGS} cannot be installed",
    )  # fmt: skip
    for base, names in _LINKS.items():
        (library,) = (packages / _RTX_FOLDER).glob(f"{base}.*.*.*")
        for name in names:
            (libraries / name).symlink_to(library)
    compiler = shutil.which("cc")
    if compiler is None:
        raise ProviderUnavailable("a C compiler (cc) is needed for a library of one function")
    source = folder / "no_plugins.c"
    source.write_text(_NO_PLUGINS, encoding="utf-8")
    _run(
        [compiler, "-shared", "-fPIC", "-o", str(libraries / _PLUGINS), str(source)],
        "the library of one function cannot be compiled",
    )
    paths = [str(packages), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "LD_LIBRARY_PATH": str(libraries),
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
    }


def load() -> tuple[TensorRT, Platform]:
    """The builder, in a process that was started with the environment of `install`."""
    bindings = importlib.import_module("tensorrt_bindings")
    number = ctypes.CDLL("libtensorrt_rtx.so.1").getInferLibVersion()
    version = f"{number // 10000}.{number // 100 % 100}.{number % 100}"
    return cast(TensorRT, bindings), Platform("tensorrt-rtx", version, "any")


def _run(command: list[str], failure: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise OutputError(f"{failure}: {' '.join(done.stderr.split())[-400:]}")
