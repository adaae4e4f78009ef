"""HTTP in: provider webhooks, the /v1 API, one-click unsubscribe."""
