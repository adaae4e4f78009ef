"""A SendGrid to run campaigns against: it takes mail, and its recipients answer by signed webhooks.

`python -m services.cli.simulator config.json` serves `POST /v3/mail/send` as the official client posts it
and prints one line when it is ready: `{"port": 40001, "control_port": 40002, "pid": 4711}`. It imports
nothing of the product, so that its log is a second witness. The configuration is `config.Config`; SIGTERM
ends it.

**Control**, JSON on a port of its own (a cut meets connections before anybody knows whose they are), with
`Authorization: Bearer <token>`; every POST answers `{"arrivals": {decision: n}, "posts": {kind or "failed":
n}, "outstanding": n}`, where outstanding counts the events to be posted and the posts under way:

- `POST /control {"do": "hold_next", "taken": false}` holds the next mail-send request before it is taken;
  with `"taken": true` after. 409 while another is held.
- `GET /control/held` is `{"held": false}`, or true with `api_key action recipient peer_port user_agent
  taken`.
- `POST /control {"do": "release"}` answers the held request; one whose sender has gone is not taken any
  more.
- `POST /control {"do": "hold_webhooks"}` keeps events back, `{"do": "release_webhooks"}` posts them at
  once.
- `POST /control {"do": "stats"}` only counts.
- `POST /control {"do": "finish", "seconds": 30}`: from now on nobody replies; answers when all that has
  happened is posted, or after so long.

**Log**, one JSON object a line, written before the world hears of it (a `cut_before` right after), so that
a kill loses none. Times are seconds since the epoch.

- `{"log": "arrival", "time", "api_key", "recipient", "action", "node", "decision", "status", "message_id",
  "taken", "peer_port"}`, one for each recipient of a request. `action` and `node` are the custom arguments
  `outreach_action` and `outreach_node`, null where absent. `decision` is `202`, `400` (a body, with null
  for its recipient, or an address that SendGrid refuses), `401`, `429`, `5xx`, `cut_before`, `cut_after` or
  `held` (taken and then held, or held until its sender was gone). `taken` says whether the message is
  delivered, whatever the answer was; `status` is null where none was given at the time. A `cut_before` is
  reset while it connects, before its request is written: only its `peer_port` is known.
- `{"log": "event", "time", "post", "kind", "event", "timestamp", "sg_event_id", "message_id", "recipient",
  "action", "node"}`, one for each event of a post, before the post's first attempt. `kind` is `first`,
  `late` (it happened in time and is posted in the grace after `wait_seconds`) or `again` (posted before,
  under another `sg_event_id`).
- `{"log": "post", "time", "post", "api_key", "kind", "attempt", "status", "events"}`, one for each attempt;
  `status` is null where no answer came. A post is tried until it is answered 2xx.
"""
