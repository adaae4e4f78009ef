"""Who gets in to the admin pages over HTTP, and what is refused; neither Redis nor Postgres is there."""

import asyncio
import html
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from pydantic import SecretStr

from services.admin.settings import AccountSettings
from tests.admin import (
    OPERATOR,
    PASSWORDS,
    SECRET,
    USERS,
    VIEWER,
    Browser,
    Running,
    hashed,
    serving,
    settings,
)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


@pytest.fixture
async def pages() -> AsyncIterator[Running]:
    async with serving(settings()) as running:
        yield running


async def shown(browser: Browser) -> str:
    """Whose overview it is; where a browser is sent without one."""
    answer = await browser.get("/")
    if answer.status_code == 303:
        return answer.headers["location"]
    return answer.text.partition("<span>")[2].partition("</span>")[0]


async def test_nobody_sees_a_page_before_logging_in_and_everybody_by_their_own_name_after(
    pages: Running,
) -> None:
    for name, as_whom in ((OPERATOR, "olga (operator)"), (VIEWER, "victor (viewer)")):
        async with pages.browser() as browser:
            for path in ("/", "/live", "/queues/outreach:send", "/nowhere"):
                answer = await browser.get(path)
                to = "" if path == "/" else f"?{urlencode({'to': path})}"
                assert (answer.status_code, answer.headers["location"], answer.text) == (
                    303,
                    f"/login{to}",
                    "",
                )
            answer = await browser.get("/live", **{"hx-request": "true"})
            assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/login")
            answer = await browser.log_in(name)
            assert (answer.status_code, answer.headers["location"]) == (303, "/")
            assert await shown(browser) == as_whom
            assert (await browser.get("/login")).headers["location"] == "/"


@pytest.mark.parametrize(
    ("wanted", "led"),
    [
        ("/queues/outreach%3Asend?state=failed&tenant=a%26b", None),
        ("/tenants", None),
        ("//evil.example/", "/"),
        ("/\\\\evil.example/", "/"),
        ("https://evil.example/", "/"),
    ],
)
async def test_a_login_leads_to_the_page_that_was_asked_for_and_to_no_other_site(
    pages: Running, wanted: str, led: str | None
) -> None:
    async with pages.browser() as browser:
        asked = f"/login?{urlencode({'to': wanted})}"
        if led is None:
            assert (await browser.get(wanted)).headers["location"] == asked
        form = dict(re.findall(r'name="(\w+)" value="([^"]*)"', (await browser.get(asked)).text))
        fields = {name: html.unescape(value) for name, value in form.items()}
        for password, said in (("wrong", 403), (PASSWORDS[OPERATOR], 303)):
            answer = await browser.post("/login", {**fields, "name": OPERATOR, "password": password})
            assert answer.status_code == said
        assert answer.headers["location"] == (led or wanted)
        assert (await browser.get(asked)).headers["location"] == (led or wanted)


async def test_a_session_cookie_is_for_these_pages_alone() -> None:
    async with serving(settings(secure_cookies=True)) as pages, pages.browser() as browser:
        token, visit = await browser.csrf("/login"), browser.client.cookies
        visit.clear()
        fields = {"csrf": token, "name": OPERATOR, "password": PASSWORDS[OPERATOR]}
        answer = await browser.post("/login", fields, cookie=f"outreach_admin_visit={token}")
        parts = {part.strip() for part in answer.headers["set-cookie"].split(";")[1:]}
        assert parts == {"HttpOnly", "Max-Age=43200", "Path=/", "SameSite=lax", "Secure"}


async def test_logging_out_ends_the_session_in_that_browser(pages: Running) -> None:
    async with pages.browser(VIEWER) as browser:
        answer = await browser.post("/logout", {"csrf": await browser.csrf("/")})
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
        assert await shown(browser) == "/login"


async def test_a_wrong_password_and_an_unknown_name_are_told_the_same(pages: Running) -> None:
    async with pages.browser() as browser:
        said = [await browser.log_in(OPERATOR, "wrong"), await browser.log_in("nobody", "wrong")]
        assert [answer.status_code for answer in said] == [403, 403]
        assert ["Name or password is wrong." in answer.text for answer in said] == [True, True]
        assert await shown(browser) == "/login"


async def test_after_ten_wrong_passwords_neither_that_name_nor_that_address_gets_in(pages: Running) -> None:
    async with pages.browser() as browser:
        for _ in range(10):
            assert (await browser.log_in(OPERATOR, "wrong")).status_code == 403
        for name in (OPERATOR, VIEWER):
            answer = await browser.log_in(name)
            assert (answer.status_code, await shown(browser)) == (429, "/login")
            assert "Too many tries: try again in 5 min." in answer.text
            assert 0 < int(answer.headers["retry-after"]) <= 300


async def test_right_passwords_are_not_counted(pages: Running) -> None:
    async with pages.browser() as browser:
        for _ in range(11):
            browser.client.cookies.clear()
            assert (await browser.log_in(OPERATOR)).status_code == 303


async def test_a_form_without_its_sessions_token_or_from_elsewhere_is_refused(pages: Running) -> None:
    async with pages.browser(OPERATOR) as browser, pages.browser(VIEWER) as other:
        token, others = await browser.csrf("/"), await other.csrf("/")
        refused: list[tuple[dict[str, str], dict[str, str]]] = [
            ({"other": token}, {}),
            ({"csrf": ""}, {}),
            ({"csrf": others}, {}),
            ({"csrf": token}, {"origin": "https://evil.example"}),
            ({"csrf": token}, {"origin": "null"}),
            ({"csrf": token}, {"sec-fetch-site": "cross-site"}),
            ({"csrf": token}, {"sec-fetch-site": "same-site"}),
        ]
        for fields, headers in refused:
            answer = await browser.post("/logout", fields, **headers)
            assert answer.status_code == 403, (fields, headers)
        answer = await browser.post("/logout", {"csrf": token}, origin="http://[")
        assert (answer.status_code, "This request cannot be read." in answer.text) == (400, True)
        assert await shown(browser) == "olga (operator)"
        for fields in ({"csrf": ""}, {"csrf": token}):
            async with pages.browser() as stranger:
                await stranger.get("/login")
                named = {"name": OPERATOR, "password": PASSWORDS[OPERATOR]}
                assert (await stranger.post("/login", {**named, **fields})).status_code == 403


async def test_a_viewer_changes_nothing_and_an_operator_may(pages: Running) -> None:
    for name, status in ((VIEWER, 403), (OPERATOR, 404)):
        async with pages.browser(name) as browser:
            answer = await browser.post("/nothing-is-here-to-do", {"csrf": await browser.csrf("/")})
            assert answer.status_code == status


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (b"csrf=" + b"x" * 65_536, "application/x-www-form-urlencoded", 413),
        (b"&".join(b"a=1" for _ in range(501)), "application/x-www-form-urlencoded", 400),
        (b"csrf=\xff", "application/x-www-form-urlencoded", 400),
        (b"reason=a%00b", "application/x-www-form-urlencoded", 400),
        (b"{}", "application/json", 415),
        (b"{}", "", 415),
    ],
)
async def test_what_is_no_small_form_is_refused(
    pages: Running, content: bytes, media_type: str, status: int
) -> None:
    async with pages.browser(OPERATOR) as browser:
        headers = {"origin": browser.origin, "content-type": media_type}
        assert (await browser.client.post("/logout", content=content, headers=headers)).status_code == status
        assert await shown(browser) == "olga (operator)"


async def test_an_address_with_what_no_text_of_postgres_has_is_refused(pages: Running) -> None:
    async with pages.browser(OPERATOR) as browser:
        for path in ("/%00", "/?a=%00", "/queues/outreach:send/job?id=a%00b"):
            assert (await browser.get(path)).status_code == 400, path


async def test_a_form_that_does_not_come_in_time_is_refused() -> None:
    async with serving(settings(read_timeout=timedelta(seconds=0.3))) as pages:
        reader, writer = await asyncio.open_connection("127.0.0.1", pages.admin.listener.port)
        head = "POST /logout HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n"
        writer.write(f"{head}content-length: 9\r\n\r\ncsrf=".encode())
        async with asyncio.timeout(10):
            assert (await reader.readline()).split()[1] == b"408"
        writer.close()
        await writer.wait_closed()


async def test_another_password_ends_the_sessions_begun_with_the_old_one_and_another_process_knows_the_rest(
    pages: Running,
) -> None:
    changed = USERS.split(",olga")[0].replace(
        USERS.split(":")[2].partition(",victor")[0], hashed("another one")
    )
    async with pages.browser(OPERATOR) as olga, pages.browser(VIEWER) as victor:
        cookies = {OPERATOR: olga.client.cookies, VIEWER: victor.client.cookies}
        accounts = AccountSettings(users=SecretStr(changed))
        async with serving(settings(accounts=accounts)) as replica:
            for name, expected in ((OPERATOR, "/login"), (VIEWER, "victor (viewer)")):
                async with replica.browser() as browser:
                    browser.client.cookies = cookies[name]
                    assert await shown(browser) == expected


@pytest.mark.parametrize("name", ["password", "older_password"])
async def test_a_password_alone_makes_an_operator_named_admin_whose_sessions_any_replica_knows(
    name: str,
) -> None:
    accounts = AccountSettings(**{name: SecretStr("correct horse")})
    async with (
        serving(settings(accounts=accounts)) as first,
        serving(settings(accounts=accounts)) as second,
        serving(settings(accounts=AccountSettings(password=SecretStr("another horse")))) as changed,
        first.browser() as browser,
    ):
        assert (await browser.log_in("admin", "correct horse")).status_code == 303
        assert await shown(browser) == "admin (operator)"
        for pages, expected in ((second, "admin (operator)"), (changed, "/login")):
            async with pages.browser() as elsewhere:
                elsewhere.client.cookies = browser.client.cookies
                assert await shown(elsewhere) == expected


async def test_in_development_without_users_who_is_on_this_machine_is_in_and_nobody_by_another_name() -> None:
    alone = settings(accounts=AccountSettings(), development=True)
    async with serving(alone) as pages, pages.browser() as browser:
        assert await shown(browser) == "developer (operator)"
        for host in ("evil.example", "127.0.0.1.evil.example", ""):
            answer = await browser.get("/", host=host)
            assert answer.status_code == 403, host


async def test_in_development_with_users_one_has_to_log_in() -> None:
    async with serving(settings(development=True)) as pages, pages.browser() as browser:
        assert await shown(browser) == "/login"


async def test_every_answer_has_the_policy_and_no_page_a_script_or_style_of_its_own(pages: Running) -> None:
    async with pages.browser(OPERATOR) as browser, pages.browser() as stranger:
        answers = [
            await browser.get("/"),
            await browser.get("/live"),
            await browser.get("/nowhere"),
            await browser.post("/logout", {"csrf": ""}),
            await stranger.get("/"),
            await stranger.get("/login"),
            await stranger.get("/assets/admin.css"),
            await stranger.get("/assets/none.css"),
            await stranger.client.put("/login"),
        ]
    assert [answer.status_code for answer in answers] == [200, 200, 404, 403, 303, 200, 200, 404, 415]
    for answer in answers:
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        kept = "public, max-age=31536000, immutable" if answer is answers[6] else "no-store"
        assert answer.headers["cache-control"] == kept
        assert " style=" not in answer.text
        assert "<style" not in answer.text
        assert all('src="/assets/' in each for each in answer.text.split("<script")[1:])


async def test_every_file_a_page_names_is_there_and_is_of_this_host(pages: Running) -> None:
    async with pages.browser(OPERATOR) as browser:
        named = re.findall(r'(?:src|href)="([^"#]+)"', (await browser.get("/")).text)
        assert all(each.startswith("/") for each in named)
        assert {each.partition("?")[0] for each in named if each.startswith("/assets")} == {
            "/assets/icon.svg",
            "/assets/admin.css",
            "/assets/htmx.min.js",
            "/assets/admin.js",
        }
        for each in named:  # a page may ask a server, and none is there
            answers = {200} if each.startswith("/assets") else {200, 503}
            assert (await browser.get(each)).status_code in answers, each


async def test_a_damaged_or_foreign_cookie_is_nobodys(pages: Running) -> None:
    async with pages.browser(OPERATOR) as browser:
        good = browser.client.cookies["outreach_admin"]
        for cookie in ("", "x", good[:-2] + "AA", "é", SECRET):
            browser.client.cookies.clear()
            raw = f"outreach_admin={cookie}".encode()
            answer = await browser.client.get("/", headers=[(b"cookie", raw)])
            assert (answer.status_code, answer.headers["location"]) == (303, "/login")
