"""Whom the embedded broker trusts: certificates of the fleet that its revocation list does not name."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from fleet.identity.authority import name_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BrokerTls:
    """Files of a broker with mutual TLS (PEM).

    Attributes:
        authorities: whose certificates are taken.
        server: the broker's key, certificate and chain.
        crl: the revocation list; read at each connection, so that a new one holds at once.
    """

    authorities: Path
    server: Path
    crl: Path

    def name_of(self, der: bytes | None) -> str:
        """Return the name of a certificate that TLS has verified; empty where it is not to be trusted."""
        if not der:
            return ""
        try:
            certificate = x509.load_der_x509_certificate(der)
            crl = x509.load_pem_x509_crl(self.crl.read_bytes())
        except (OSError, ValueError) as error:
            log.error("client refused: certificate or revocation list cannot be read reason=%r", str(error))
            return ""
        # A root that was imported stands above other authorities, too; ours alone speaks for the fleet.
        if certificate.issuer != crl.issuer:
            log.warning("client refused: certificate of another authority name=%r", name_of(certificate))
            return ""
        if crl.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None:
            log.warning("client refused: revoked certificate name=%r", name_of(certificate))
            return ""
        return name_of(certificate)
