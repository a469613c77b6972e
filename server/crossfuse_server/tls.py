"""TLS: certificates that are read again when they change, for gRPC and for HTTP.

A new certificate, key or list of authorities counts for the connections made after it; those that
are there go on. A key that does not fit its certificate changes nothing until the other one comes.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc

from crossfuse.errors import InvalidInput
from crossfuse_server.changing import ChangingFiles, warn_of_readers
from crossfuse_server.settings import ServerSettings


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where the certificate chain, its key and the authorities of callers are; all PEM."""

    cert: Path
    key: Path
    client_ca: Path | None

    @classmethod
    def of(cls, settings: ServerSettings) -> TlsFiles | None:
        """None where the settings name no certificate."""
        if settings.tls_cert is None or settings.tls_key is None:
            return None
        return cls(settings.tls_cert, settings.tls_key, settings.tls_client_ca)

    @property
    def paths(self) -> list[Path]:
        """All of them that there are."""
        return [self.cert, self.key, *([] if self.client_ca is None else [self.client_ca])]

    def context(self) -> ssl.SSLContext:
        """A context of a server with what the files hold now; InvalidInput where it is not good."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        # A session that is taken up again is not asked for its certificate.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
        warn_of_readers("tls_key", self.key)
        try:
            context.load_cert_chain(self.cert, self.key, "")
        except (ssl.SSLError, OSError) as error:
            raise InvalidInput(
                "tls_cert and tls_key",
                f"{self.cert} and {self.key} ({error})",
                "a PEM file with a certificate chain and one with its private key, not encrypted",
            ) from error
        if self.client_ca is not None:
            context.minimum_version = ssl.TLSVersion.TLSv1_3  # 1.2 has sessions without tickets
            context.verify_mode = ssl.CERT_REQUIRED
            try:
                context.load_verify_locations(self.client_ca)
            except (ssl.SSLError, OSError) as error:
                raise InvalidInput(
                    "tls_client_ca", f"{self.client_ca} ({error})", "a PEM file with certificates"
                ) from error
        return context

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        """The same for gRPC, which would take anything and blame the connections later."""
        self.context()
        authorities = None if self.client_ca is None else self.client_ca.read_bytes()
        return grpc.ssl_server_certificate_configuration(
            [(self.key.read_bytes(), self.cert.read_bytes())], authorities
        )


class GrpcCertificates:
    """The credentials of a gRPC server, and what it uses at the moment."""

    def __init__(self, files: TlsFiles) -> None:
        self._current = ChangingFiles("tls", files.paths, files.configuration, every=0)
        self._used = self._current.get()
        fetch: Any = self._fetch  # its type knows no None
        self.credentials = grpc.dynamic_ssl_server_credentials(
            self._used, fetch, require_client_authentication=files.client_ca is not None
        )

    def reread(self) -> None:
        """Read the files even if they seem not to have changed."""
        self._current.reread()

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """What gRPC asks before every handshake; None keeps what it has."""
        current = self._current.get()
        if current is self._used:
            return None
        self._used = current
        return current


def server_context(settings: ServerSettings) -> ssl.SSLContext | None:
    """What a server of another protocol wraps its sockets with; None where TLS is not set up.

    The context looks at the files at every handshake, and gives the connection what they hold.
    """
    files = TlsFiles.of(settings)
    if files is None:
        return None
    current = ChangingFiles("tls", files.paths, files.context, every=0)
    context = files.context()
    context.sni_callback = partial(_use_current, current)
    return context


def _use_current(
    current: ChangingFiles[ssl.SSLContext],
    connection: ssl.SSLSocket | ssl.SSLObject,
    _name: str | None,
    _context: ssl.SSLContext,
) -> None:
    connection.context = current.get()
