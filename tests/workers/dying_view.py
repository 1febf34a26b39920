"""A process that dies before one of its writes."""

from __future__ import annotations

from typing import Any

import pytest

from scfm.storage.tenant_view import TenantView


class Killed(BaseException):
    """The process dies."""


class DyingView:
    """Lets the process die before its write number LAST, from 1, through any view, as long as PATCH lasts."""

    def __init__(self, patch: pytest.MonkeyPatch, last: int) -> None:
        self.writes = 0
        for name in ("insert", "update_one", "remove"):
            patch.setattr(TenantView, name, self._counted(getattr(TenantView, name), last))

    def _counted(self, write: Any, last: int) -> Any:
        async def counted(view: TenantView, collection: str, *args: Any, **options: Any) -> Any:
            self.writes += 1
            if self.writes == last:
                raise Killed
            return await write(view, collection, *args, **options)

        return counted
