"""The one tree of errors. The message of an error is its class docstring unless a better one is given.

OutreachError
├── SettingsError                 a setting is missing or makes no sense
├── OutOfRange                    an operator's value makes no sense
├── SignatureInvalid              a webhook's signature does not match
├── QueueError
│   ├── InvalidJob                refused before anything is written
│   │   ├── JobIdRequired
│   │   └── PayloadTooLarge
│   ├── JobConflict               a known id with another payload
│   ├── UnknownQueue
│   ├── PartitionMismatch         another process uses another partition count
│   ├── ForeignInstallation       the prefix belongs to another installation
│   ├── QueueClosed               the partition waits to be opened
│   ├── OpeningSuperseded         a newer opening holds the partition
│   ├── NotMeasured               nobody knows how a queue stands
│   └── LeaseLost                 another worker, or an opening, took the job
├── JobSignal                     raised by a handler to say how its job ends
│   ├── Unrecoverable
│   ├── RateLimited
│   └── Defer
├── StoreError
│   ├── StoreUnavailable
│   │   └── SchemaMissing
│   ├── NotFound
│   └── Conflict
├── CampaignError
│   ├── InvalidGraph              with a path and a sentence
│   ├── InvalidTemplate
│   └── RenderError               a variable is missing
├── ProviderError
│   └── UnknownProvider
└── BenchmarkFailed               what was to be measured did not happen
"""

from datetime import datetime


class OutreachError(Exception):
    """Something went wrong in outreach."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class SettingsError(OutreachError):
    """A setting is missing or makes no sense; see docs/settings.md."""


class OutOfRange(OutreachError):
    """The value makes no sense here."""


class SignatureInvalid(OutreachError):
    """The signature does not match: check the endpoint's public key or auth token."""


class QueueError(OutreachError):
    """The queue could not do what was asked."""


class InvalidJob(QueueError):
    """The job cannot be enqueued as it is; nothing was written."""


class JobIdRequired(InvalidJob):
    """A job id is required: give one that names the work, as send:<actionId>:<generation>."""


class PayloadTooLarge(InvalidJob):
    """The payload is over 1 MiB: store it as a row and enqueue its id."""


class JobConflict(QueueError):
    """This job id is known with another payload: use a new id for new work."""


class NotMeasured(QueueError):
    """The queue was not measured lately: see whether Redis and Postgres serve, and dispatch's log."""


class UnknownQueue(QueueError):
    """There is no such queue: enqueue to one of those in shared.jobs.QUEUES."""


class PartitionMismatch(QueueError):
    """The queue was created with another number of partitions: start every process with that one."""


class ForeignInstallation(QueueError):
    """Another installation uses this Redis prefix: set REDIS_PREFIX to one of your own."""


class QueueClosed(QueueError):
    """The partition is closed until dispatch opens it: wait, and look at dispatch's log if it stays so."""


class OpeningSuperseded(QueueError):
    """A newer opening holds the partition: start this one over."""


class LeaseLost(QueueError):
    """Another worker, or an opening, took this job: its result changes nothing here."""


class JobSignal(OutreachError):
    """A handler says how its job ends."""


class Unrecoverable(JobSignal):
    """The job can never succeed and is not retried."""


class RateLimited(JobSignal):
    """The lane is closed until a time; no attempt is used.

    `scope` is `"sender"` or `"tenant"`: how much of the job's lane closes.
    """

    def __init__(self, until: datetime, scope: str = "sender") -> None:
        super().__init__(f"The {scope} is limited until {until.isoformat()}; the job waits for it.")
        self.until = until
        self.scope = scope


class Defer(JobSignal):
    """The job runs again at a time; no attempt is used."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"The job is deferred until {until.isoformat()}.")
        self.until = until


class StoreError(OutreachError):
    """Postgres could not do what was asked."""


class StoreUnavailable(StoreError):
    """Postgres does not answer: the caller may try again."""


class SchemaMissing(StoreUnavailable):
    """The database has no schema, or an older release's: run `outreach migrate`."""


class NotFound(StoreError):
    """There is no such row for this tenant."""


class Conflict(StoreError):
    """The row is in a state that does not allow this."""


class JobMoved(Conflict):
    """The job moved on, to another generation: `job` is its id now."""

    def __init__(self, job: str) -> None:
        super().__init__(f"The job moved on: it is {job} now.")
        self.job = job


class CampaignError(OutreachError):
    """The campaign cannot do what was asked."""


class InvalidGraph(CampaignError):
    """The graph cannot run.

    `path` is a JSON pointer into the graph; the message is a sentence about what stands there.
    """

    def __init__(self, path: str, sentence: str) -> None:
        super().__init__(sentence)
        self.path = path


class InvalidTemplate(CampaignError):
    """The template does not parse."""


class RenderError(CampaignError):
    """The template uses a variable that the contact does not have."""


class ProviderError(OutreachError):
    """A provider could not be used."""


class UnknownProvider(ProviderError):
    """There is no such provider: use one of those in shared.providers."""


class BenchmarkFailed(OutreachError):
    """What was to be measured did not happen; the benchmark's figures would mean nothing."""
