"""The operator's pages: rendered here, kept live by htmx, behind a login."""
