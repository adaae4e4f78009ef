"""`outreach process`: the jobs of a paused queue by hand, and what still holds them back."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import Process
from typing import Any

import pytest

from shared.child import free_port
from shared.jobs import WEBHOOKS, WebhookJob, job_id
from shared.queue.types import NewJob
from shared.store.database import Database
from tests.commands import audited, misused, outreach, refused
from tests.dispatching import limit
from tests.journeys import World, graph, mail_event, send, to, wait
from tests.sending import KEY, PUBLIC, Scene, after, scene

HELLO = graph(hello=send(to("done")))


@pytest.fixture(autouse=True)
def settings(environment: pytest.MonkeyPatch) -> None:
    """What the workers read besides."""
    environment.setenv("OUTREACH_SECRET_KEY", KEY)
    environment.setenv("OUTREACH_PUBLIC_URL", PUBLIC.public_url)
    environment.setenv("SEND_CHARGE_SLACK", "9")  # of a busy machine


async def by_hand(*options: str) -> Process:
    """The command, begun."""
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "services.cli", "process", "--json", *options)
    return await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)


async def processed(queue: str, once: int) -> tuple[list[tuple[str, str, str]], int, str]:
    """Id, outcome and reason of each job, how the command ended, and what it said."""
    process = await by_hand("--queue", queue, "--once", str(once))
    printed, said = await process.communicate()
    lines: list[dict[str, Any]] = [json.loads(line) for line in printed.splitlines()]
    return (
        [(line["id"], line["outcome"], line["reason"]) for line in lines],
        process.returncode or 0,
        said.decode(),
    )


async def typed(*arguments: str) -> str:
    return await asyncio.to_thread(outreach, *arguments)


async def paused(it: Scene, *options: str) -> None:
    await typed("pause", *options)
    await it.dispatch.configuration.refresh()


async def test_sends_of_a_paused_queue_go_out_by_hand_so_many_as_asked_and_no_more_pauses_are_passed(
    database: Database, database_url: str, valkey_url: str
) -> None:
    world = await World.create(database, HELLO, contacts=5)
    other = await World.create(database, HELLO)
    async with scene(world, database_url, valkey_url) as it:
        await limit(world, minute=4)
        await it.dispatch.configuration.refresh()
        await other.enrol()
        await it.dispatched()
        await paused(it, "--queue", "outreach:send")
        actions = await world.actions()
        jobs = [job_id("send", action["id"], 0) for action in actions]
        await world.run(
            "insert into suppressions (tenant_id, id, channel, address, scope, reason)"
            " select :t, id, 'email', email, 'all', 'complaint' from contacts where id = :id",
            id=actions[1]["contact_id"],
        )
        await typed("pause", "--tenant", str(other.tenant_id))  # and Redis has not heard of it
        async with it.worker():
            lines, status, said = await processed("outreach:send", 3)
            assert (sorted(lines), status, said) == (
                sorted(
                    [
                        (jobs[0], "completed", "accepted"),
                        (jobs[1], "skipped", "suppressed"),
                        (job_id("send", (await other.actions())[0]["id"], 0), "held", "tenant_paused"),
                    ]
                ),
                0,
                "3 jobs were processed.\n",
            )
            lines, status, said = await processed("outreach:send", 100)
            assert (lines, status) == ([(job, "completed", "accepted") for job in jobs[2:]], 0)
            assert [state[0] for state in await it.states()] == ["accepted", "skipped", *["accepted"] * 3]
            assert len(it.provider.mails) == 4
            lines, status, said = await processed("outreach:send", 1)
            assert (lines, status) == ([], 3)
            assert "came due since the pause waits for the resume" in said
    assert [row for row in await asyncio.to_thread(audited) if row[1] == "process"] == [
        ("ana", "process", "outreach:send", None, done, {"most": most})
        for most, done in ((3, 3), (100, 3), (1, 0))
    ]


async def test_timeouts_and_webhooks_are_processed_by_hand_too_while_everything_is_paused(
    database: Database, database_url: str, valkey_url: str
) -> None:
    world = await World.create(database, graph(pause=wait(60, "hello"), hello=send(to("done", after="P9D"))))
    async with scene(world, database_url, valkey_url) as it:
        await world.enrol()
        await world.run("update scheduled_actions set due_at = now(), scheduled_at = now()")
        while await it.dispatch.rounds.time_out():
            pass
        (timeout,) = await world.actions(kind="timeout")
        await paused(it, "--all")
        lines, status, _ = await processed("outreach:timeout", 1)
        assert (lines, status) == ([(job_id("timeout", timeout["id"], 0), "completed", "")], 0)
        assert (await world.current())["node_id"] == "hello"

        (action,) = await world.actions(kind="send")
        await world.accept((await world.current())["id"])
        claim = await world.post(mail_event("bounce", action, action["created_at"]))
        envelope = WebhookJob(tenant_id=world.tenant_id, webhook_delivery_id=claim.id, provider="sendgrid")
        job = NewJob(job_id("webhook", claim.id, 0), envelope.lane, envelope.wire())
        await it.dispatch.webhooks.enqueue([job])
        lines, status, _ = await processed(WEBHOOKS.name, 5)
        assert (lines, status) == ([(job.id, "completed", "")], 0)
        assert [row["state"] for row in await world.deliveries()] == ["processed"]


async def test_ctrl_c_lets_the_send_in_hand_end_and_takes_no_more(
    database: Database, database_url: str, valkey_url: str
) -> None:
    world = await World.create(database, HELLO, contacts=2)
    called, may_answer = asyncio.Event(), asyncio.Event()

    async def call() -> None:
        called.set()
        await may_answer.wait()

    async with scene(world, database_url, valkey_url) as it:
        await it.dispatched()
        await paused(it, "--queue", "outreach:send")
        it.provider.answers.append(after(call))
        process = await by_hand("--queue", "outreach:send", "--once", "2")
        async with asyncio.timeout(20):
            await called.wait()
        process.send_signal(signal.SIGINT)
        await asyncio.sleep(0.1)
        may_answer.set()
        _, said = await process.communicate()
        assert (process.returncode, said) == (0, b"1 jobs were processed.\n")
        assert [state[0] for state in await it.states()] == ["accepted", "enqueued"]


def test_what_is_not_paused_is_left_to_its_workers(environment: pytest.MonkeyPatch) -> None:
    assert "outreach:send is not paused" in refused("process", "--once", "1", "--queue", "outreach:send")
    assert "there are webhook:process, outreach:send" in refused("process", "--once", "1", "--queue", "x")
    misused("process", "--queue", "outreach:send")
    misused("process", "--once", "0", "--queue", "outreach:send")
    outreach("tenants", "create", "acme")
    outreach("pause", "--queue", "outreach:send", "--tenant", "acme")
    assert "outreach:send is not paused" in refused("process", "--once", "1", "--queue", "outreach:send")
    environment.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
    assert "look at DATABASE_URL and REDIS_URL" in refused("process", "--once", "1", "--queue", WEBHOOKS.name)
    environment.delenv("OUTREACH_SECRET_KEY")
    assert "OUTREACH_SECRET_KEY" in refused("process", "--once", "1", "--queue", "outreach:send")
    assert [row[1] for row in audited()] == ["pause"]
