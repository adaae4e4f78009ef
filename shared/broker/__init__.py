"""Taskiq on the engine: JobBroker, JobReceiver, formatter, result backend."""

from shared.broker.broker import JobBroker
from shared.broker.context import JobContext, current_job
from shared.broker.endings import Ended
from shared.broker.receiver import JobReceiver
from shared.broker.results import ResultBackend
from shared.broker.worker import Worker

__all__ = ["Ended", "JobBroker", "JobContext", "JobReceiver", "ResultBackend", "Worker", "current_job"]
