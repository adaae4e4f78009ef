"""What an operator sets by the command line until it is changed: the row it leaves, and the audit of it."""

import getpass
from uuid import UUID, uuid4

import pytest

from shared.campaigns.transitions import Transitions
from shared.errors import OutOfRange
from shared.operate import Desk, Via
from shared.store import audit, closures, limit_overrides, senders, tenants
from shared.store.closures import Closure
from shared.store.database import AsyncConnection, Database
from shared.store.pages import Page
from tests.commands import audited, in_database, misused, outreach, read, refused
from tests.journeys import TIMEOUTS

pytestmark = pytest.mark.usefixtures("environment")


def a_sender(tenant_id: UUID, channel: str = "email") -> UUID:
    async def work(tx: AsyncConnection) -> UUID:
        account_id = await senders.create_account(tx, tenant_id, "sendgrid", b"sealed", None)
        return await senders.create(tx, tenant_id, account_id, channel, "us@example.com", "")

    return in_database(work)


def overrides(tenant_id: UUID) -> list[tuple[str, UUID | None, dict[str, int]]]:
    rows = in_database(lambda tx: limit_overrides.read(tx, tenant_id))
    return [(row.channel, row.sender_id, row.limits) for row in rows]


def test_each_action_leaves_one_entry_in_the_audit_which_names_who_did_it(
    environment: pytest.MonkeyPatch,
) -> None:
    tenant_id = UUID(outreach("tenants", "create", "acme"))
    sender_id = a_sender(tenant_id)
    in_database(lambda tx: closures.close(tx, [Closure(tenant_id, "email", sender_id, "401", None)]))
    outreach("pause", "--tenant", "acme", "--queue", "outreach:send", "--reason", "a bought list")
    outreach("pause", "--all")
    outreach("pause", "--all")
    outreach("resume", "--all")
    outreach("tenants", "weight", "acme", "3")
    outreach("tenants", "limits", "acme", "--minute", "5", "--unset", "day")
    environment.delenv("OUTREACH_ACTOR")
    outreach("senders", "reopen", "acme", str(sender_id))
    assert audited() == [
        ("ana", "pause", "acme in outreach:send", "acme", 1, {"reason": "a bought list"}),
        ("ana", "pause", "everything", None, 1, {"reason": ""}),
        ("ana", "pause", "everything", None, 0, {"reason": ""}),
        ("ana", "resume", "everything", None, 1, {}),
        ("ana", "tenants.weight", "acme", "acme", 1, {"weight": 3}),
        ("ana", "tenants.limits", "acme/email", "acme", 2, {"minute": 5, "day": None}),
        (getpass.getuser(), "senders.reopen", str(sender_id), "acme", 1, {}),
    ]


def test_what_is_refused_leaves_no_row_and_no_entry() -> None:
    tenant_id = UUID(outreach("tenants", "create", "acme"))
    outreach("tenants", "create", "other")
    texts = a_sender(tenant_id, "sms")
    assert "no such pause" in refused("resume", "--all")
    assert "no tenant named 'nobody'" in refused("tenants", "weight", "nobody", "3")
    assert "no tenant named 'nobody'" in refused("tenants", "limits", "nobody", "--minute", "3")
    for whose, sender in (("acme", texts), ("other", texts), ("acme", uuid4())):
        line = refused("tenants", "limits", whose, "--sender", str(sender), "--minute", "3")
        assert "no such sender on the channel email" in line
    assert "no closed sender" in refused("senders", "reopen", "acme", str(texts))
    misused("tenants", "weight", "acme", "0")
    misused("tenants", "limits", "acme", "--minute", "-1")
    misused("tenants", "limits", "acme", "--unset", "week")
    misused("tenants", "limits", "acme", "--minute", "1", "--unset", "minute")
    assert (overrides(tenant_id), audited()) == ([], [])
    assert [row.weight for row in in_database(lambda tx: tenants.page(tx, Page(9)))] == [1, 1]


def test_limits_are_set_and_unset_one_by_one_and_the_others_stay() -> None:
    tenant_id = UUID(outreach("tenants", "create", "acme"))
    sender_id = a_sender(tenant_id, "sms")
    outreach("tenants", "limits", "acme", "--minute", "5", "--hour", "50")
    outreach("tenants", "limits", "acme", "--minute", "6", "--unset", "hour", "--day", "0")
    outreach("tenants", "limits", "acme", "--channel", "sms", "--sender", str(sender_id), "--concurrent", "2")
    assert overrides(tenant_id) == [
        ("email", None, {"minute": 6, "day": 0}),
        ("sms", sender_id, {"concurrent": 2}),
    ]
    nothing = dict.fromkeys(("minute", "hour", "day", "concurrent"))
    assert read("tenants", "limits", "acme") == [
        {"channel": "email", "sender": None, **nothing, "minute": 6, "day": 0},
        {"channel": "sms", "sender": str(sender_id), **nothing, "concurrent": 2},
    ]


def test_a_weight_is_set() -> None:
    outreach("tenants", "create", "acme", "--weight", "2")
    outreach("tenants", "weight", "acme", "7")
    assert [row.weight for row in in_database(lambda tx: tenants.page(tx, Page(9)))] == [7]


def test_the_audit_is_read_in_pages_of_all_or_of_a_tenant_and_obeyed_by_no_terminal() -> None:
    outreach("tenants", "create", "acme")
    outreach("tenants", "create", "other")
    outreach("tenants", "weight", "acme", "2")
    outreach("tenants", "weight", "other", "3")
    outreach("pause", "--tenant", "acme", "--reason", "\x1b[2J")
    latest, *_ = first = read("audit", "--limit", "2")
    assert [row["target"] for row in first] == ["acme", "other"]
    assert [row["action"] for row in read("audit", "--after", first[-1]["id"])] == [
        "tenants.weight",
        "tenants.create",
        "tenants.create",
    ]
    assert [row["action"] for row in read("audit", "--tenant", "acme")] == [
        "pause",
        "tenants.weight",
        "tenants.create",
    ]
    assert (latest["actor"], latest["via"], latest["detail"]) == ("ana", "cli", {"reason": "\x1b[2J"})
    assert "\x1b" not in outreach("audit")


@pytest.mark.parametrize("limits", [{"week": 1}, {"minute": -1}, {"minute": 10**9 + 1}])
@pytest.mark.parametrize("channel", ["email", "letter"])
async def test_a_desk_refuses_values_that_make_no_sense(
    database: Database, channel: str, limits: dict[str, int | None]
) -> None:
    await database.run(lambda tx: tenants.create(tx, "acme"))
    desk = Desk(database, {}, Transitions(TIMEOUTS), "bob", Via.PAGE)
    with pytest.raises(OutOfRange):
        await desk.limit("acme", channel, None, limits)
    with pytest.raises(OutOfRange):
        await desk.weigh("acme", 1001)
    assert await database.run(lambda tx: audit.page(tx, Page(9))) == []
