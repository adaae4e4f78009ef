"""Who is seen to run: workers and the gateway by what they say, dispatch by its connection."""

from services.cli.doctor.findings import Answer, fault, ok, warning
from services.cli.doctor.patient import Patient
from shared.jobs import QUEUES
from shared.queue.standing import SILENT
from shared.store import diagnosis


async def dispatch(patient: Patient) -> Answer:
    """Somebody dispatches."""
    clients = await patient.redis.client_list(_type="normal")
    if not any(client.get("name", "").startswith(f"{patient.prefix}-dispatch-") for client in clients):
        return fault("No dispatch is connected to Redis: nothing that falls due is sent. Start one.")
    return ok("Dispatch is connected.")


async def workers(patient: Patient) -> Answer:
    """Somebody works on every queue."""
    # Workers say so in the first partition, however many there are.
    queues = patient.queues(dict.fromkeys(QUEUES, 1))
    deserted = [queue.name for queue in queues if not await queue.workers()]
    if deserted:
        return fault(
            f"No worker of {', '.join(deserted)} has said for {SILENT.seconds} s that it works: what is"
            " enqueued there waits. Start one."
        )
    return ok("Every queue has a worker.")


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
