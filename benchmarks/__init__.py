"""What `make bench` measures: the engine, and BullMQ beside it."""
