"""The send worker: claimed rows to provider calls to recorded outcomes."""
