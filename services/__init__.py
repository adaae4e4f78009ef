"""The processes: wiring and work, strangers to each other."""
