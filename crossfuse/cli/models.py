"""List, show and verify the model bundles on the search path.

The search path is --models, the CROSSFUSE_MODELS variable, ./models, the user's data folder and
the package itself; of two bundles with the same name and version the first one counts.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from crossfuse.bundles import BrokenBundle, Bundle, installed_bundles, named_bundle
from crossfuse.errors import BundleError

EXAMPLE = "  crossfuse models list\n  crossfuse models show crossfuse-rt"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The three actions and their options."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--models", type=Path, metavar="DIR", help="a folder of bundles to add")
    common.add_argument("--json", action="store_true", help="print JSON on stdout")
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|show|verify")
    actions.add_parser("list", parents=[common], help="every bundle in one line")
    show = actions.add_parser("show", parents=[common], help="the manifest and card of one bundle")
    show.add_argument("model", help="name, name:version or bundle folder")
    verify = actions.add_parser("verify", parents=[common], help="compare files with their hashes")
    verify.add_argument("model", nargs="*", help="name, name:version or folder; all if not given")


def run(args: argparse.Namespace) -> int:
    """Do one action."""
    return {"list": _list, "show": _show, "verify": _verify}[args.action](args)


def _list(args: argparse.Namespace) -> int:
    bundles, broken = installed_bundles(args.models)
    if args.json:
        rows = [{**_summary(bundle), "folder": str(bundle.folder)} for bundle in bundles]
        problems = [{"folder": str(entry.folder), "reason": entry.reason} for entry in broken]
        print(json.dumps({"models": rows, "broken": problems}, indent=2))
    else:
        print(f"{'MODEL':<24}{'PRECISIONS':<18}{'PARAMETERS':>12}  {'GMAC 480x640':>12}  FOLDER")
        for bundle in bundles:
            manifest = bundle.manifest
            print(
                f"{bundle.reference:<24}{','.join(manifest.files):<18}{manifest.parameters:>12,}"
                f"  {manifest.macs_480x640 / 1e9:>12.3f}  {bundle.folder}"
            )
    for entry in broken:
        print(f"broken: {entry.reason}", file=sys.stderr)
    return 1 if broken else 0


def _summary(bundle: Bundle) -> dict[str, object]:
    manifest = bundle.manifest
    return {
        "name": manifest.name,
        "version": manifest.version,
        "architecture": manifest.architecture,
        "precisions": list(manifest.files),
        "parameters": manifest.parameters,
        "macs_480x640": manifest.macs_480x640,
        "head": manifest.head,
    }


def _show(args: argparse.Namespace) -> int:
    bundle = named_bundle(args.model, args.models)
    if args.json:
        print(json.dumps({**asdict(bundle.manifest), "folder": str(bundle.folder)}, indent=2))
        return 0
    manifest = bundle.manifest
    print(f"{bundle.reference}  {bundle.folder}")
    print(f"architecture  {manifest.architecture}, head {manifest.head}")
    print(
        f"size          {manifest.parameters:,} parameters, "
        f"{manifest.macs_480x640 / 1e9:.3f} GMAC at 480x640, pictures from "
        f"{manifest.minimum_size}x{manifest.minimum_size}"
    )
    for precision, entry in manifest.files.items():
        print(f"{precision:<14}{entry.path}  sha256 {entry.sha256}")
        print(f"{'':<14}against PyTorch fp32: {entry.quality}")
    metrics = "  ".join(f"{name} {value:.3f}" for name, value in manifest.quality.metrics.items())
    print(f"quality       {metrics} ({manifest.quality.profile}, {manifest.quality.pictures})")
    print(f"trained       {manifest.training.recipe}")
    for source in manifest.training.data:
        print(f"{'':<14}{source.name}: {source.split}; licence: {source.licence}")
    print(f"checkpoint    sha256 {manifest.checkpoint_sha256}, commit {manifest.git_commit}")
    card = bundle.folder / "card.md"
    if card.is_file():
        print(f"card          {card}")
    return 0


def _verify(args: argparse.Namespace) -> int:
    if args.model:
        bundles = [named_bundle(model, args.models) for model in args.model]
        broken: list[BrokenBundle] = []
    else:
        bundles, broken = installed_bundles(args.models)
    rows = [
        {"model": ":".join(entry.folder.parts[-2:]), "ok": False, "reason": entry.reason}
        for entry in broken
    ]
    for bundle in bundles:
        try:
            bundle.verify()
            rows.append({"model": bundle.reference, "ok": True, "reason": None})
        except BundleError as error:
            rows.append({"model": bundle.reference, "ok": False, "reason": str(error)})
    if args.json:
        print(json.dumps(rows, indent=2))
    else:
        for row in rows:
            print(f"{row['model']}: " + ("ok" if row["ok"] else f"FAILED: {row['reason']}"))
    return 0 if all(row["ok"] for row in rows) else 1
