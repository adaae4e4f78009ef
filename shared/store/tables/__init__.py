"""The schema's one definition. Every row that belongs to a tenant has `tenant_id` in its key."""

from shared.store.tables.base import metadata
from shared.store.tables.campaigns import (
    campaign_versions,
    campaigns,
    contacts,
    enrollments,
    suppressions,
    visits,
)
from shared.store.tables.operating import audit, scaling_pins
from shared.store.tables.queues import (
    gateway_beats,
    gateway_outages,
    installation,
    pauses,
    queue_partitions,
    queues,
)
from shared.store.tables.tenants import (
    api_keys,
    closures,
    idempotency_keys,
    provider_accounts,
    rate_limits,
    senders,
    tenants,
    webhook_endpoints,
    webhook_keys,
)
from shared.store.tables.work import attempts, deliveries, delivery_digests, events, scheduled_actions

__all__ = [
    "api_keys",
    "attempts",
    "audit",
    "campaign_versions",
    "campaigns",
    "closures",
    "contacts",
    "deliveries",
    "delivery_digests",
    "enrollments",
    "events",
    "gateway_beats",
    "gateway_outages",
    "idempotency_keys",
    "installation",
    "metadata",
    "pauses",
    "provider_accounts",
    "queue_partitions",
    "queues",
    "rate_limits",
    "scaling_pins",
    "scheduled_actions",
    "senders",
    "suppressions",
    "tenants",
    "visits",
    "webhook_endpoints",
    "webhook_keys",
]
