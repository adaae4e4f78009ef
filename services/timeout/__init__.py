"""The timeout worker: synthetic events and the transitions they make."""
