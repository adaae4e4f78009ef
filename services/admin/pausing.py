"""Stop and go: what the forms do that pause or resume a queue, or everything."""

from litestar import MediaType, Response, post

from services.admin.browsing import Browsing
from services.admin.jobs import Act, Browser, Look, known
from services.admin.screen import Screen, Screening


@post("/pauses", media_type=MediaType.HTML)
async def pause(browsing: Browser, acting: Act, watches: Look, screen: Screening) -> Response[str]:
    """Pause a queue, or everything, with a reason."""
    queue, reason = _queue(browsing, screen), screen.reason
    if queue is None and not screen.is_sure:
        return screen.ask(
            "Pause everything? What runs ends; nothing is sent or processed until it is resumed.",
            "Pause everything",
        )
    paused = await acting.desk(screen.session).pause(queue, None, reason)
    await watches.rows.step()
    what = queue or "Everything"
    return screen.done(f"{what} is paused." if paused else f"{what} was paused already.")


@post("/pauses/lift", media_type=MediaType.HTML)
async def resume(browsing: Browser, acting: Act, watches: Look, screen: Screening) -> Response[str]:
    """Lift the pause of a queue, or of everything."""
    queue = _queue(browsing, screen)
    await acting.desk(screen.session).resume(queue, None)
    await watches.rows.step()
    return screen.done(f"{queue or 'Everything'} goes on.")


def _queue(browsing: Browsing, screen: Screen) -> str | None:
    """The queue that is meant; None is every queue."""
    queue = screen.form.get("queue", "")
    if queue:
        known(browsing, queue)
    return queue or None


ROUTES = (pause, resume)
