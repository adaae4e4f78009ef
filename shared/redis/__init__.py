"""Redis: connections that come back by themselves, and scripts called by name."""
