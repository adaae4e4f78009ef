"""One send, from its claim to its recorded outcome (design §7.2 to 7.4)."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import httpx
import structlog

from services.send import outcomes
from services.send.ledger import Ledger, Send
from services.send.message import Composer
from services.send.outcomes import Ending
from shared.broker import Ended, JobContext, current_job
from shared.campaigns.checks import Refusal, Stop
from shared.campaigns.sending import refused
from shared.errors import RenderError, StoreUnavailable
from shared.jobs import SendJob
from shared.loop import Backoff
from shared.metrics import Metrics
from shared.providers import PROVIDERS
from shared.providers.base import Outcome, OutgoingMessage, SendOutcome
from shared.providers.segments import segments
from shared.queue.types import Verdict
from shared.settings import SendSettings
from shared.store.sends import Claim, Submission

log = structlog.get_logger()

_PAUSE = timedelta(milliseconds=200)
_VERDICTS = {Stop.HELD: Verdict.HELD}
Call = Callable[[], Awaitable[SendOutcome]]
_MOVED_ON = Ended(Verdict.COMPLETED, "moved_on", refund=True)


class Sender:
    """Works on claimed sends. Each step is a set of all sends that take it at once: see `Ledger`.

    With `through_pause` they were claimed by hand while the queue is paused: that alone holds none of them.
    """

    def __init__(
        self,
        ledger: Ledger,
        composer: Composer,
        client: httpx.AsyncClient,
        settings: SendSettings,
        metrics: Metrics,
        *,
        through_pause: bool = False,
    ) -> None:
        self._ledger = ledger
        self._composer = composer
        self._client = client
        self._settings = settings
        self._through_pause = through_pause
        # A send's job completes however its row ends. All are there first, or Prometheus would miss a burst.
        self._sends = {end: metrics.sends.labels(*end) for end in outcomes.ENDS}

    async def __call__(self, job: SendJob) -> Ended:
        """Send, or write why not; the row has the outcome before the job is settled."""
        context = current_job()
        send = await self._ledger.read(Claim(job.tenant_id, job.scheduled_action_id, context.generation))
        if send is None:
            return _MOVED_ON
        why = refused(send.row, through_pause=self._through_pause)
        if why is not None:
            return await self._stop(send, why)
        try:
            message = self._composer.message(send)
        except RenderError as error:
            return await self._stop(send, Refusal(Stop.SKIPPED, f"render: {error}"))
        cost = segments(message.text or "") if message.channel == "sms" else send.row.cost
        if cost > send.row.cost:
            await self._ledger.reprice((send, cost))
            return Ended(Verdict.SKIPPED, "cost")
        if self._too_old(context):
            # Not at once: a worker this slow would claim it again and be as slow.
            await asyncio.sleep(_PAUSE.total_seconds())
            return Ended(Verdict.RELEASED, outcomes.NOT_BEGUN)
        return await self._submit(context, send, message, self._call_of(send, message))

    async def _stop(self, send: Send, why: Refusal) -> Ended:
        await self._ledger.stop((send, why))
        return Ended(_VERDICTS.get(why.stop, Verdict.SKIPPED), why.reason)

    async def _submit(self, context: JobContext, send: Send, message: OutgoingMessage, call: Call) -> Ended:
        # Before the mark is written: a job stopped behind it would leave a row that looks like a lost call.
        context.commit()
        row = send.row
        charged_at = datetime.fromtimestamp(context.job.claimed_ms / 1000, UTC)
        if not await self._ledger.submit(
            Submission(row.tenant_id, row.id, row.g, message.recipient, charged_at)
        ):
            return _MOVED_ON
        if self._too_old(context):
            ending = outcomes.not_begun(row)
        else:
            ending = outcomes.ending(row, await self._outcome(send, call), self._settings)
        if ending.record.status != "accepted":
            context.log(outcomes.told(ending))
        await self._record(ending)
        return _ended(context, ending)

    def _call_of(self, send: Send, message: OutgoingMessage) -> Call:
        """The provider's call, not yet begun; raises UnknownProvider, as for one of a newer release."""
        account = self._composer.account(send)
        provider = PROVIDERS[account.provider]
        return partial(provider.send, self._client, account, message, self._settings.provider_timeout)

    async def _outcome(self, send: Send, call: Call) -> SendOutcome:
        outcome = await call()
        if outcome.kind is not Outcome.ACCEPTED:
            log.info("send.not_accepted", action_id=str(send.row.id), outcome=outcome.kind.value)
        return outcome

    async def _record(self, ending: Ending) -> None:
        """Write an outcome however long Postgres is away: nobody else knows it."""
        backoff = Backoff()
        while True:
            try:
                await self._ledger.record(ending)
                self._sends[ending.record.outcome, ending.record.status].inc()
                return
            except StoreUnavailable:
                log.warning("send.outcome_waits", action_id=str(ending.row.id))
                current_job().log("The outcome waits for Postgres.")
                await asyncio.sleep(backoff.next().total_seconds())

    def _too_old(self, context: JobContext) -> bool:
        """Whether a request begun now could arrive outside the window its charge counts in."""
        return context.age() > self._settings.charge_slack


def _ended(context: JobContext, ending: Ending) -> Ended:
    closure = ending.closure
    close = (context.job.lane, closure.until) if closure is not None and closure.until is not None else None
    return Ended(
        Verdict.COMPLETED, ending.record.outcome, refund=ending.record.given_back or None, close=close
    )
