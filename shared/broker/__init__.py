"""Taskiq on the engine: JobBroker, JobReceiver, formatter, result backend."""
