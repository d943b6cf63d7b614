"""Which incident a copy of ours was made for, as the copy itself carries it in its name and mark."""

from __future__ import annotations

import msgspec

from quell.domain.ids import SourceId, TenantId

__all__ = ["Original"]


class Original(msgspec.Struct, frozen=True, kw_only=True):
    """The incident that a copy was made for: `tenant/source/number`, as text.

    Several tenants may share a product that copies are made in, and their numbers are alike:
    without the tenant, the second one's copy would be taken for the first one's.
    """

    tenant_id: TenantId
    source_id: SourceId
    native_id: str

    def __str__(self) -> str:
        return f"{self.tenant_id}/{self.source_id}/{self.native_id}"

    @classmethod
    def read(cls, mark: str | None) -> Original | None:
        """Read a mark; None for what is none."""
        parts = (mark or "").split("/", 2)
        if len(parts) < 3 or not all(parts):
            return None
        tenant_id, source_id, native_id = parts
        return cls(
            tenant_id=TenantId(tenant_id), source_id=SourceId(source_id), native_id=native_id
        )

    @classmethod
    def is_foreign(cls, mark: str | None, tenant_id: TenantId) -> bool:
        """Tell whether a copy with this mark was made for another tenant: it is that one's alone."""
        made_for = cls.read(mark)
        return made_for is not None and made_for.tenant_id != tenant_id
