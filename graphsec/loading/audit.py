"""Audit logs to distinct requests: Kubernetes events as lines, lists or cloud exports, streamed and counted."""

from __future__ import annotations

from collections.abc import Iterable

from graphsec.loading.documents import Limits
from graphsec.model.audit import AuditLog


def read_audit_logs(paths: Iterable[str], limits: Limits) -> AuditLog:
    """The events of files, folders or ``-``, together; each file may be packed with gzip.

    Raises InputError for a path that does not exist and a file that holds no audit event.
    """
    raise NotImplementedError
