"""One file per provider: send, verify, normalize."""
