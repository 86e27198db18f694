"""A stand-in for CVAT: a real HTTP server with the parts of CVAT that agents, operators and annotators meet.

Written from CVAT's OpenAPI document, and proved by unmodified `cvat-cli`, which registers and serves a
function on it. State is in memory only; tests, demo and end-to-end tests use the same server, in a thread, a
process or a pod.

In a test::

    from tests.cvat_standin.fixtures import cvat  # a server of the test's own; `secure_cvat`: by HTTPS

    def test_tracks(cvat):
        ann = cvat.add_user("ann")                      # .username, .password, .token
        cvat.add_organization("lab", "ann", {"bob": "worker"})
        task = cvat.add_task(frames, "ann")             # arrays, images, or encoded PNG and JPEG
        cvat.faults.drop_reply("POST /api/functions")   # what follows happens, but nobody hears of it
        with Annotator(cvat.url, ann.username, ann.password) as annotator:
            track = annotator.track(function_id, task, [Shape.mask(bitmap)], start=0, stop=9)
        cvat.count("POST /api/functions/{id}/run")      # from the request log

What calls serverless functions, as a CVAT without agents does, is in `serverless`.

By hand, or as a pod: `python -m tests.cvat_standin --host 0.0.0.0 --port 8080 [--seed-file seed.json]`
(and `--tls-certificate`, `--tls-key`). It prints one line when it is ready, then one JSON line a call. The
seed: `{"users": [{"username", "password", "token", "superuser"}], "organizations": [{"slug", "owner",
"members": {"username": "role"}}]}`. `client.CVAT(url)` drives it from outside.

What it serves under `/api/`: `auth` (login, logout, access tokens), `users/self`, `server/about`,
`organizations`, `functions` (create, list, retrieve, delete, `run`, batch `requests/`), `functions/queues`
(watch, acquire, update, complete, fail), `tasks`, `jobs` and `labels` (details, meta, frames, chunks). Errors
are in Django REST framework's form. Assumed, because CVAT's server is closed there: what `run` answers
(`routes.requests`), who may use and serve a function (`access`), what becomes of a request whose agent died
(`queue`: a setting), the status for reporting on a request that is another's (`refusal_status`).

How to control it: `/_standin/`, JSON both ways (models in `control_models`), without authentication.

| call | does |
| --- | --- |
| `GET health` | 200 once it serves |
| `POST users`, `PATCH users/{username}` | make a user; change the password (ends sessions), (de)activate |
| `POST`, `DELETE users/{username}/tokens` | make a token; revoke all |
| `DELETE users/{username}/sessions` | end all password sessions |
| `POST organizations`, `PUT`, `DELETE organizations/{slug}/members/{username}` | organizations and roles |
| `POST tasks?spec=JSON` | a task from a zip archive of images (the body) |
| `PUT tasks/{id}/assignees` | who may see a task besides its owner |
| `GET functions`, `GET requests` | what exists, whoever may see it |
| `POST functions/{id}/forget`, `.../restore` | lose a function; have it again |
| `POST functions/{id}/cut-streams` | end its event streams, in order or by cutting connections |
| `POST requests` | put anything into a queue, unchecked |
| `POST requests/{id}/put-back` | take a request from its agent and offer it again at once, same or new id |
| `PUT redelivery` | hand held requests out again: after a time, on an acquire by the same agent, or never |
| `PUT lists`, `POST lists/release` | new functions missing from lists, for seconds or until released |
| `PUT streams` | `retry:` and keep-alive of event streams; silence about new requests |
| `POST`, `DELETE faults`, `GET`, `DELETE faults/{id}`, `POST faults/release` | misbehave: see `faults` |
| `POST clock/advance` | move the server's time; all that is timed follows |
| `GET log?route=`, `GET counters` | the calls to `/api/`, without secrets |
"""
