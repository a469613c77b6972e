"""The options of commands that talk to a server."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossfuse.errors import InvalidInput

if TYPE_CHECKING:
    from crossfuse.client import FusionClient


def add_server_arguments(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Where the server is and how it is spoken to."""
    parser.add_argument(
        "--server", metavar="HOST:PORT", required=required, help="a running `crossfuse serve`"
    )
    parser.add_argument("--tls", action="store_true", help="encrypt, trusting this machine's roots")
    parser.add_argument(
        "--tls-ca", type=Path, metavar="FILE", help="encrypt, trusting the authority in a PEM file"
    )
    parser.add_argument(
        "--tls-cert", type=Path, metavar="FILE", help="PEM file with the certificate to present"
    )
    parser.add_argument(
        "--tls-key", type=Path, metavar="FILE", help="PEM file with the private key of --tls-cert"
    )
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help="file with the bearer token to present"
    )


def open_client(args: argparse.Namespace, **settings: Any) -> FusionClient:
    """The client that the options describe, with further settings of FusionClient."""
    # Not at the top: commands that may also work without a server should not wait for gRPC.
    from crossfuse.client import FusionClient

    return FusionClient(args.server, **credentials(args), **settings)


def credentials(args: argparse.Namespace) -> dict[str, Any]:
    """The settings `token` and `tls` of a client that the options describe."""
    from crossfuse.client import TlsOptions

    files = args.tls_ca, args.tls_cert, args.tls_key
    tls = args.tls if files == (None, None, None) else TlsOptions(*files)
    return {"token": _read_token(args.token_file), "tls": tls}


def _read_token(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput("--token-file", str(path), f"a readable text file ({error})") from error
