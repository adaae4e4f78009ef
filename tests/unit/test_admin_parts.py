"""The parts of the admin pages that need no server: words, users, the throttle, rates, charts, watches."""

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from pydantic import SecretStr

from services.admin.charts import chart
from services.admin.queues import _rate
from services.admin.settings import AccountSettings, AdminSettings
from services.admin.throttle import Throttle
from services.admin.users import Role, read
from services.admin.watch import View, Watch
from services.admin.words import duration, many, moment, shortened
from shared.errors import SettingsError
from tests.admin import SECRET, USERS, hashed


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0 ms"),
        (0.0124, "12 ms"),
        (1, "1 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (3_600, "1 h"),
        (3_659, "1 h"),
        (187_200, "2 d 4 h"),
        (172_860, "2 d"),
    ],
)
def test_a_length_of_time_is_told_in_at_most_two_units(seconds: float, words: str) -> None:
    assert duration(timedelta(seconds=seconds)) == words


def test_counts_times_and_long_texts_are_written_for_people() -> None:
    assert [many(1, "job"), many(1_200, "job"), many(2, "delivery", "deliveries")] == [
        "1 job",
        "1,200 jobs",
        "2 deliveries",
    ]
    assert moment(datetime(2026, 5, 1, 12, 30, 5, 999, tzinfo=UTC)) == "2026-05-01 12:30:05 UTC"
    assert [shortened("abc", 3), shortened("abcd", 3)] == ["abc", "abc… (1 character more)"]
    assert len(shortened("x" * 2**20)) < 250


@pytest.mark.parametrize("between", [",", "\n", ", \n ", "\n\n"])
def test_users_are_listed_by_line_or_comma_though_their_hashes_have_commas_too(between: str) -> None:
    first, second = hashed("one"), hashed("two")
    listed = f" olga:operator:{first}{between}victor:viewer:{second} "
    users = read(AccountSettings(users=SecretStr(listed)), SECRET)
    found = [users.get(name) for name in ("olga", "victor", "admin")]
    assert [(user.role, user.hash) if user else None for user in found] == [
        (Role.OPERATOR, first),
        (Role.VIEWER, second),
        None,
    ]


@pytest.mark.parametrize(
    "listed",
    [
        "olga",
        "olga:operator:secret",
        "olga:root:{hash}",
        "ol ga:viewer:{hash}",
        ":viewer:{hash}",
        "a:viewer:$argon2id$x",
    ],
)
def test_what_is_no_user_is_refused_by_its_number_and_not_quoted(listed: str) -> None:
    good, bad = hashed("one"), listed.format(hash=hashed("two"))
    with pytest.raises(SettingsError) as refused:
        read(AccountSettings(users=SecretStr(f"good:viewer:{good}\n{bad}")), SECRET)
    assert str(refused.value) == (
        "OUTREACH_ADMIN_USERS: user 2 is not name:operator:hash or name:viewer:hash with a hash of argon2."
    )


def test_two_users_of_one_name_are_refused_and_admin_is_one_where_there_is_a_password() -> None:
    twice = AccountSettings(users=SecretStr(f"{USERS},{USERS}"))
    admin = AccountSettings(users=SecretStr(f"admin:viewer:{hashed('x')}"), password=SecretStr("long enough"))
    for accounts, name in ((twice, "olga"), (admin, "admin")):
        with pytest.raises(SettingsError, match=f"there are two users named {name}"):
            read(accounts, SECRET)


def test_without_a_user_the_pages_start_in_development_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OUTREACH_ADMIN_USERS", "OUTREACH_ADMIN_PASSWORD", "BULLMQ_ADMIN_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OUTREACH_SECRET_KEY", SECRET)
    monkeypatch.setenv("DATABASE_URL", "postgresql://x/x")
    for nobody in (None, "", " \n"):
        if nobody is not None:
            monkeypatch.setenv("OUTREACH_ADMIN_USERS", nobody)
        with pytest.raises(SettingsError, match="set OUTREACH_ADMIN_USERS or OUTREACH_ADMIN_PASSWORD"):
            AdminSettings()
    monkeypatch.setenv("ADMIN_DEVELOPMENT", "true")
    assert AdminSettings().accounts == AccountSettings()
    monkeypatch.delenv("ADMIN_DEVELOPMENT")
    for name in ("OUTREACH_ADMIN_PASSWORD", "BULLMQ_ADMIN_PASSWORD"):
        monkeypatch.setenv(name, "short")
        with pytest.raises(SettingsError, match=f"{name}: value should have at least 8 items") as refused:
            AdminSettings()
        assert "short" not in str(refused.value)
        monkeypatch.setenv(name, "long enough")
        assert read(AdminSettings().accounts, SECRET).get("admin") is not None
        monkeypatch.delenv(name)


def test_the_new_name_of_the_password_goes_before_the_older_one() -> None:
    new, old = SecretStr("the new password"), SecretStr("the old password")

    def stamp(**passwords: SecretStr) -> str:
        user = read(AccountSettings(**passwords), SECRET).get("admin")
        assert user is not None
        return user.stamp

    assert stamp(password=new, older_password=old) == stamp(password=new) != stamp(older_password=old)
    assert stamp(older_password=new) == stamp(password=new)


def test_a_key_may_fail_ten_times_in_a_window_each_counted_from_its_beginning() -> None:
    now = [0.0]
    throttle = Throttle(10, timedelta(seconds=100), clock=lambda: now[0])
    for second in range(10):
        now[0] = float(second)
        assert throttle.admit("name", f"address {second}") is None
    assert throttle.admit("name", "address new") == timedelta(seconds=91)
    assert throttle.admit("address new") is None
    now[0] = 99.9
    assert throttle.admit("name") is not None
    now[0] = 100
    assert throttle.admit("name") is None
    assert throttle.admit("name") == timedelta(seconds=1)


def test_a_right_try_counts_no_more_and_a_refused_one_is_no_try() -> None:
    throttle = Throttle(2, timedelta(seconds=100), clock=lambda: 0.0)
    for _ in range(5):
        assert throttle.admit("a", "b") is None
        throttle.succeeded("a", "b")
    assert [throttle.admit("a", "b"), throttle.admit("a"), throttle.admit("a", "b")] == [
        None,
        None,
        timedelta(seconds=100),
    ]
    assert [throttle.admit("b"), throttle.admit("b")] == [None, timedelta(seconds=100)]


def test_the_throttle_keeps_those_tried_last_and_no_more_than_so_many() -> None:
    throttle = Throttle(2, timedelta(seconds=100), keys=3, clock=lambda: 0.0)
    for name in range(1_000):
        throttle.admit("guesser", str(name))
        assert len(throttle._tried) <= 3
    assert throttle.admit("guesser") == timedelta(seconds=100)


@pytest.mark.parametrize(
    ("ended", "rate"),
    [
        ([], 0),
        ([89_999], 0),
        ([90_001, 99_000, 100_000], 0.3),
        ([80_000] * 50 + [95_000] * 50, 5),
        ([99_000] * 50 + [99_500] * 50, 100),
        ([100_000] * 100, 100_000),
        ([99_000] * 99, 9.9),
    ],
)
def test_a_rate_is_of_ten_seconds_or_of_the_time_in_which_as_many_ended_as_are_kept(
    ended: list[int], rate: float
) -> None:
    assert _rate(ended, 100_000, kept=100) == pytest.approx(rate)


def test_a_charts_line_ends_at_the_right_edge_and_its_highest_point_is_at_the_top() -> None:
    drawn = chart([0, 2, 1], "Jobs ended", "a second")
    assert drawn.points == "298.0,47.0 299.0,2.0 300.0,24.5"
    assert drawn.area == "298.0,48 298.0,47.0 299.0,2.0 300.0,24.5 300,48"
    assert (drawn.top, drawn.words) == (2, "Jobs ended: 1 a second now, 2 a second at most")
    assert chart([1.0] * 300, "", "").points.startswith("0.0,2.0 1.0,2.0 ")
    assert chart([], "Jobs", "s").points == chart([], "Jobs", "s").area == ""
    assert chart([0], "Jobs", "s").points == "300.0,47.0"


async def test_a_watch_keeps_what_it_saw_and_says_how_old_it_is_when_no_look_succeeds() -> None:
    now, numbers = [0.0], count(1)

    async def look() -> int:
        if now[0] > 10:
            raise OSError
        return next(numbers)

    watch = Watch("test", look, timedelta(seconds=1), clock=lambda: now[0])
    assert watch.view == View(None, None)
    now[0] = 7.0
    assert watch.view == View(None, timedelta(seconds=7))
    await watch.step()
    assert watch.view == View(1, None)
    for second in (13.0, 13.1):
        now[0] = second
        with pytest.raises(OSError):
            await watch.step()
        assert watch.view == View(1, timedelta(seconds=second - 7) if second > 13 else None)
