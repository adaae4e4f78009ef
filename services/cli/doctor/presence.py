"""Who is seen to run: by the names of Redis's clients, and by the gateway's heartbeat."""

from services.cli.doctor.findings import Answer, fault, ok, warning
from services.cli.doctor.patient import Patient
from shared.store import diagnosis


async def dispatch(patient: Patient) -> Answer:
    """Somebody dispatches."""
    if not await _connected(patient, f"{patient.prefix}-dispatch-"):
        return fault("No dispatch is connected to Redis: nothing that falls due is sent. Start one.")
    return ok("Dispatch is connected.")


async def workers(patient: Patient) -> Answer:
    """Somebody works."""
    if not await _connected(patient, f"{patient.prefix}-worker"):
        return fault(
            "No worker is connected to Redis: what is enqueued waits. Start send, timeout and webhook."
        )
    return ok("Workers are connected.")


async def gateway(patient: Patient) -> Answer:
    """Somebody takes webhooks."""
    silence = await patient.database.run(diagnosis.last_beat)
    if silence is None:
        return warning(
            "No gateway has ever run: start one, or providers' webhooks are lost after about a day."
        )
    if silence > patient.settings.timeouts.gateway_silence:
        return fault(
            f"No gateway has said for {silence.total_seconds():.0f} s that it serves: providers' webhooks are"
            " lost after about a day, and timeouts wait for them. Start one."
        )
    return ok("A gateway serves.")


async def _connected(patient: Patient, name: str) -> bool:
    clients = await patient.redis.client_list(_type="normal")
    return any(client.get("name", "").startswith(name) for client in clients)
