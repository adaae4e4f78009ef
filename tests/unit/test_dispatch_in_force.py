"""What rows put in force, as the engine takes it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.dispatch.in_force import ahead, changes, configs, releasable, usually_ahead
from shared.jobs import SENDS, TIMEOUTS
from shared.queue.types import SubjectConfig, Window
from shared.settings import DispatchSettings, LimitSettings
from shared.store.limit_rows import InForce, Scope
from shared.store.pauses import Pause

A, B = UUID(int=1), UUID(int=2)
ONE, TWO = UUID(int=11), UUID(int=12)
LENGTHS = LimitSettings()
ORDINARY = {"", "*/email", "*/sms"}


def windows(minute: int, hour: int, day: int) -> tuple[Window, ...]:
    lengths = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
    return tuple(map(Window, lengths, (minute, hour, day)))


def everyone(_: UUID) -> bool:
    return True


def test_without_rows_the_defaults_of_the_channels_hold() -> None:
    assert configs(InForce(), SENDS.name, LENGTHS, everyone) == {
        "": SubjectConfig(""),
        "*/email": SubjectConfig("*/email", windows(20, 1_000, 10_000)),
        "*/sms": SubjectConfig("*/sms", windows(10, 500, 5_000)),
    }
    assert configs(InForce(), TIMEOUTS.name, LENGTHS, everyone) == {"": SubjectConfig("")}


def test_a_tenants_override_holds_for_its_senders_but_its_cap_is_shared() -> None:
    rows = InForce(
        overrides={
            (A, "email"): {None: {"minute": 100, "concurrent": 8}, TWO: {"minute": 50, "concurrent": 2}}
        },
        senders=[Scope(A, "email", ONE), Scope(A, "email", TWO)],
    )
    found = configs(rows, SENDS.name, LENGTHS, everyone)
    tenant, one, two = f"{A}/email", f"{A}/email/{ONE}", f"{A}/email/{TWO}"
    assert found.keys() == ORDINARY | {tenant, one, two}
    assert found[tenant] == SubjectConfig(tenant, windows(100, 1_000, 10_000), cap=8)
    assert found[one] == SubjectConfig(one, windows(100, 1_000, 10_000))
    assert found[two] == SubjectConfig(two, windows(50, 1_000, 10_000), cap=2)


def test_pauses_count_for_the_queues_and_tenants_that_they_name() -> None:
    rows = InForce(pauses=[Pause(TIMEOUTS.name, None), Pause(None, A), Pause(SENDS.name, B)])
    sends = configs(rows, SENDS.name, LENGTHS, everyone)
    timeouts = configs(rows, TIMEOUTS.name, LENGTHS, everyone)
    assert {subject for subject, config in sends.items() if config.paused} == {str(A), str(B)}
    assert {subject for subject, config in timeouts.items() if config.paused} == {"", str(A)}


def test_a_closure_without_an_end_is_a_pause_and_another_ends_when_it_says() -> None:
    until = datetime(2026, 11, 25, 12, 0, 0, 500, UTC)
    rows = InForce(closures={Scope(A, "email", ONE): None, Scope(A, "sms", None): until})
    found = configs(rows, SENDS.name, LENGTHS, everyone)
    assert found[f"{A}/email/{ONE}"] == SubjectConfig(f"{A}/email/{ONE}", paused=True)
    assert found[f"{A}/sms"].closed_until_ms == int(until.timestamp() * 1000) + 1


def test_a_probed_sender_sends_one_at_a_time_whatever_its_cap() -> None:
    rows = InForce(
        overrides={(A, "email"): {ONE: {"concurrent": 9}}},
        probed=[Scope(A, "email", ONE)],
        weights={A: 100_000},
    )
    found = configs(rows, SENDS.name, LENGTHS, everyone)
    assert found[f"{A}/email/{ONE}"].cap == 1
    assert found[str(A)].weight == 0xFFFF, "the most there is room for"


def test_a_partition_knows_only_of_its_own_tenants() -> None:
    rows = InForce(
        weights={A: 2, B: 2},
        pauses=[Pause(None, A), Pause(None, B)],
        overrides={(A, "email"): {None: {"minute": 1}}, (B, "email"): {None: {"minute": 1}}},
        closures={Scope(A, "sms", ONE): None, Scope(B, "sms", TWO): None},
        probed=[Scope(A, "sms", TWO), Scope(B, "sms", ONE)],
    )
    found = configs(rows, SENDS.name, LENGTHS, lambda tenant: tenant == A)
    assert found.keys() == ORDINARY | {str(A), f"{A}/email", f"{A}/sms/{ONE}", f"{A}/sms/{TWO}"}


def test_changes_are_what_differs_is_in_doubt_or_is_gone() -> None:
    same, other = SubjectConfig("same", cap=1), SubjectConfig("other", cap=2)
    doubt, gone = SubjectConfig("doubt", cap=3), SubjectConfig("gone", cap=4)
    before = {"same": same, "other": SubjectConfig("other", cap=9), "doubt": None, "gone": gone}
    after = {"same": same, "other": other, "doubt": doubt}
    assert changes(before, after) == [SubjectConfig("gone"), other, doubt]


def test_no_more_is_in_redis_than_the_limits_release_in_ten_minutes() -> None:
    settings = DispatchSettings()
    assert usually_ahead(LENGTHS, settings) == {"email": 200, "sms": 100}
    rows = InForce(
        overrides={
            (A, "email"): {None: {"minute": 500, "hour": 4_000, "day": 100_000}, ONE: {"minute": 1}},
            (B, "sms"): {None: {"minute": 10**6, "hour": 10**6, "day": 10**6}},
        },
        senders=[Scope(A, "email", ONE), Scope(A, "email", TWO), Scope(B, "sms", ONE)],
    )
    assert ahead(rows, LENGTHS, settings) == {(A, ONE): 100, (A, TWO): 4_000, (B, ONE): 10_000}


def test_what_limits_release_is_shared_by_a_tenants_senders() -> None:
    one, two, other = f"{A}/email/{ONE}", f"{A}/email/{TWO}", f"{B}/email/{ONE}"

    def found(rows: InForce, *lanes: str, minutes: int = 1) -> int:
        return releasable(rows, lanes, LENGTHS, timedelta(minutes=minutes))

    assert found(InForce()) == 0
    assert found(InForce(), one) == found(InForce(), one, two) == 20
    assert found(InForce(), one, other, f"{A}/sms/{ONE}") == 50
    assert found(InForce(), one, minutes=10) == 200
    assert found(InForce(), one, minutes=59) == 1_000, "an hour's limit comes before"
    rows = InForce(overrides={(A, "email"): {None: {"minute": 100}, TWO: {"minute": 5}}})
    assert [found(rows, one), found(rows, two), found(rows, one, two)] == [100, 5, 100]
