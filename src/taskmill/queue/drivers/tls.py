"""TLS towards an engine, as its driver's entry declares it."""

from __future__ import annotations

import ssl
from typing import Annotated

from msgspec import Meta, Struct

from taskmill.queue.errors import QueueError


class Tls(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Files with certificates, for what the system does not know."""

    ca: Annotated[str, Meta(description="Certificates to trust, in place of the system's.")] = ""
    certificate: Annotated[str, Meta(description="This client's certificate.")] = ""
    key: Annotated[str, Meta(description="The key of it, if it is not in the same file.")] = ""

    def context(self) -> ssl.SSLContext:
        """Return it as Python's sockets want it.

        Raises:
            QueueError: a file cannot be read, or is no certificate.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca or None)
            if self.certificate:
                context.load_cert_chain(self.certificate, self.key or None)
        except OSError as error:  # ssl.SSLError is one
            files = ", ".join(filter(None, (self.ca, self.certificate, self.key)))
            raise QueueError(f"`tls`: {error} ({files})") from error
        return context
