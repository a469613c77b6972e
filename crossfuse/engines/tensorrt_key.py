"""What a TensorRT engine was built from and for: it runs where all of that is still true."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from crossfuse.engines.tensorrt_profiles import Profile
from crossfuse.errors import BundleError

HARDWARE = ("none", "ampere+", "same-capability")
"""How far an engine may travel: this GPU model's capability only, all from Ampere on, or all of the
same compute capability."""
_AMPERE = (8, 0)


@dataclass(frozen=True)
class Platform:
    """A TensorRT and a GPU: what an engine is built with and must be run with."""

    flavour: str
    """`tensorrt`, or `tensorrt-rtx`, which is a product of its own with other engines."""
    version: str
    capability: str
    """Compute capability such as 8.9; `any` of an engine that was built without a GPU."""


@dataclass(frozen=True)
class EngineKey:
    """Everything that makes two engines different; equal keys mean equal engines."""

    onnx_sha256: str
    precision: str
    platform: Platform
    hardware: str
    profiles: tuple[Profile, ...]

    @property
    def digest(self) -> str:
        """A short name for it."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """As it is stored beside the engine."""
        return {**asdict(self), "profiles": [str(profile) for profile in self.profiles]}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], source: str) -> Self:
        """Read back what `to_json` wrote."""
        try:
            return cls(
                onnx_sha256=str(content["onnx_sha256"]),
                precision=str(content["precision"]),
                platform=Platform(**content["platform"]),
                hardware=str(content["hardware"]),
                profiles=tuple(Profile.parse(text) for text in content["profiles"]),
            )
        except (KeyError, TypeError) as error:
            raise BundleError(
                f"{source}: got a key that cannot be read ({error!r}); valid: one that "
                "crossfuse export tensorrt wrote; export the engine again"
            ) from error

    def differences(self, other: EngineKey) -> list[str]:
        """In words, what this one has and what the other wants instead."""
        found = [] if self.onnx_sha256 == other.onnx_sha256 else ["another ONNX file"]
        for name, mine, wanted in (
            ("precision", self.precision, other.precision),
            ("hardware compatibility", self.hardware, other.hardware),
            ("profiles", " ".join(map(str, self.profiles)), " ".join(map(str, other.profiles))),
        ):
            if mine != wanted:
                found.append(f"{name} {mine}, wanted {wanted}")
        return found + self._platform_differences(other.platform, exact=True)

    def strangers_on(self, here: Platform) -> list[str]:
        """In words, why an engine with this key cannot be run here; nothing where it can."""
        return self._platform_differences(here, exact=False)

    def _platform_differences(self, here: Platform, *, exact: bool) -> list[str]:
        mine, found = self.platform, []
        if (mine.flavour, mine.version) != (here.flavour, here.version):
            found.append(f"{mine.flavour} {mine.version}, here {here.flavour} {here.version}")
        fits = mine.capability == here.capability
        if not exact and self.hardware == "ampere+":
            fits = capability_number(here.capability) >= _AMPERE
        if not fits:
            found.append(f"compute capability {mine.capability}, here {here.capability}")
        return found


def capability_number(capability: str) -> tuple[int, int]:
    """(8, 9) for `8.9`; (0, 0) for what is no number."""
    major, _, minor = capability.partition(".")
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else (0, 0)
