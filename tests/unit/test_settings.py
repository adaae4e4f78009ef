"""Settings: read from the environment, and refused by name, never by what they hold."""

from datetime import timedelta

import pytest

from services.dispatch.settings import DispatcherSettings
from services.gateway.settings import GatewaySettings
from shared.errors import SettingsError
from shared.settings import (
    DatabaseSettings,
    EngineSettings,
    LogSettings,
    PrivateSettings,
    PublicSettings,
    RedisSettings,
    ScalingSettings,
)

GOOD = {"DATABASE_URL": "postgresql://u:hunter2@h/db", "OUTREACH_SECRET_KEY": "hunter2" * 8}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("DATABASE_URL", "DATABASE_DIRECT_URL", "OUTREACH_SECRET_KEY", "REDIS_URL", "REDIS_PORT"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("settings", "given", "sentence"),
    [
        (DatabaseSettings, {"DATABASE_DIRECT_URL": "postgresql://u:hunter2@h/db"}, "DATABASE_URL: field req"),
        (PublicSettings, {"OUTREACH_SECRET_KEY": "hunter2"}, "OUTREACH_SECRET_KEY: .* at least 32"),
        (RedisSettings, {"REDIS_PORT": "tcp://hunter2:1"}, "REDIS_PORT: .* integer"),
        (LogSettings, {"LOG_JSON": "hunter2"}, "LOG_JSON: .* boolean"),
        (EngineSettings, {"QUEUE_LEASE": "hunter2", "QUEUE_PARTITIONS": "0"}, "QUEUE_.*; QUEUE_"),
        (EngineSettings, {"QUEUE_LEASE": "10", "QUEUE_RENEW": "6"}, "QUEUE_RENEW must be at most half"),
        (PrivateSettings, {"PRIVATE_TOKEN": "hunter2"}, "PRIVATE_TOKEN: .* at least 16"),
        (ScalingSettings, {"SCALING_MOST": "2", "SCALING_LEAST": "3"}, "At least 3 and at most 2 workers"),
        (
            ScalingSettings,
            {"SCALING_BOUNDS": '{"send": [1, 2]}'},
            "no queue 'send': there are webhook:process",
        ),
        (ScalingSettings, {"SCALING_BOUNDS": '{"outreach:send": [5, 2]}'}, "At least 5 and at most 2"),
        (GatewaySettings, {**GOOD, "GATEWAY_PORT": "hunter2"}, "GATEWAY_PORT: .* integer"),
        (DispatcherSettings, {"DATABASE_DIRECT_URL": "hunter2"}, "DATABASE_URL: field required"),
    ],
)
def test_a_wrong_setting_is_named_and_its_value_is_not(
    environment: pytest.MonkeyPatch, settings: type[RedisSettings], given: dict[str, str], sentence: str
) -> None:
    for name, value in given.items():
        environment.setenv(name, value)
    with pytest.raises(SettingsError, match=sentence) as refused:
        settings()
    shown = f"{refused.value} {refused.value.__cause__} {refused.value.__context__}"
    assert "hunter2" not in shown


def test_no_settings_show_a_secret(environment: pytest.MonkeyPatch) -> None:
    for name, value in {**GOOD, "REDIS_URL": "redis://:hunter2@h", "REDIS_PASSWORD": "hunter2"}.items():
        environment.setenv(name, value)
    settings = GatewaySettings()
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump_json()}"


@pytest.mark.parametrize(("spelled", "seconds"), [("5", 5), ("0.5", 0.5), ("PT1M", 60), ("00:01:00", 60)])
def test_a_duration_is_spelled_in_seconds_or_as_iso_8601(
    environment: pytest.MonkeyPatch, spelled: str, seconds: float
) -> None:
    environment.setenv("DATABASE_URL", "postgresql://h/db")
    environment.setenv("DATABASE_STATEMENT_TIMEOUT", spelled)
    assert DatabaseSettings().statement_timeout == timedelta(seconds=seconds)


def test_a_queue_may_have_bounds_of_its_own(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SCALING_BOUNDS", '{"outreach:send": [2, 40]}')
    settings = ScalingSettings()
    assert [(each.least, each.most) for each in map(settings.of, ("outreach:send", "outreach:timeout"))] == [
        (2, 40),
        (1, 10),
    ]
