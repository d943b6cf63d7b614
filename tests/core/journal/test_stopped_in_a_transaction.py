"""A worker that stands still in the middle of a transaction: its locks must not outlast its lease."""

from __future__ import annotations

import threading
from datetime import timedelta

from tests.servers import fresh_database

from quell.domain.ids import TenantId, WorkerId
from quell.journal import Journal, leases
from quell.journal.writer import Transaction

TENANT = TenantId("contoso")
ONE, TWO = WorkerId("one"), WorkerId("two")
SHORT, LONG = timedelta(seconds=1), timedelta(seconds=60)
#: far beyond what the database gives an idle transaction
PATIENCE = 120.0


def test_what_a_stopped_worker_keeps_locked_is_free_again_and_it_writes_nothing_more(
    postgres: str,
) -> None:
    # given: it renewed its lease, and was stopped before the commit, as by SIGSTOP
    goes_on, stands_still = threading.Event(), threading.Event()

    def stop(tx: Transaction, renewed: bool) -> None:
        stands_still.set()
        assert goes_on.wait(PATIENCE)

    with fresh_database(postgres) as url:
        first, second = Journal.open(url), Journal.open(url)
        fence = first.commit_now(leases.claim(TENANT, "duty/sweep", ONE, SHORT))
        assert fence is not None
        renewing = first.submit(leases.renew(TENANT, "duty/sweep", ONE, fence, LONG).then(stop))
        assert stands_still.wait(PATIENCE)

        # when: its lease runs out, and another worker claims it
        def claim() -> int | None:
            write = leases.claim(TENANT, "duty/sweep", TWO, LONG)
            return second.submit(write).result(PATIENCE)

        while (taken := claim()) is None:
            pass
        goes_on.set()

        # then
        assert taken == fence + 1
        assert renewing.result(PATIENCE) is False
        first.close()
        second.close()
