"""ModelApp in process: what it accepts, refuses, counts and logs."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from importlib import metadata
from pathlib import Path

import pytest

from amlcore.serving.runtime import compat
from amlcore.serving.runtime.errors import KeysFault
from amlcore.serving.runtime.http import app, concurrency, key_guard, prometheus
from amlcore.serving.runtime.http.access_log import ATOMIC, AccessLog
from amlcore.serving.runtime.http.app import Limits, ModelApp, WorkerState
from amlcore.serving.runtime.http.concurrency import InFlight, Pace
from amlcore.serving.runtime.http.errors import HttpError, check_content
from amlcore.serving.runtime.http.key_guard import KeyGuard
from amlcore.serving.runtime.http.prometheus import MAX_LABELS
from amlcore.serving.runtime.http.request_log import FLUSH_S, FLUSH_SOON, MAX_OPEN, LoggedRequest, RequestLog
from amlcore.serving.runtime.packaged_model import PackagedModel
from amlcore.serving.runtime.predictor import Predictor
from tests.support.serving_models import iris, register

BODY = b'{"data": [[5.1, 3.5, 1.4, 0.2]]}'
JSON = {"content-type": "application/json"}


@pytest.fixture
def model(tmp_path):
    record = register(tmp_path, iris())
    (tmp_path / "model").symlink_to(record.folder)
    settings = {"name": "flowers", "scikit_learn": None, "auth": "none"}
    (tmp_path / "service.json").write_text(json.dumps(settings))
    return PackagedModel(tmp_path)


@pytest.fixture
def worker(model):
    return make(model)


def make(model, *, keys=None, logs=False, **limits):
    sizes = {"timeout_s": 30.0, "max_concurrency": 8, "max_body_bytes": 1000, "threads": 1, **limits}
    worker = WorkerState(model, Limits(**sizes), keys=keys, logs=logs)
    worker.predictor = Predictor.load(model)
    return worker


async def bentoml_app(scope, receive, send):
    """What stands behind: every path is found but /nowhere, and none is written to."""
    status = 404 if scope["path"] == "/nowhere" else 405 if scope["method"] == "PUT" else 200
    headers = [(b"content-type", b"text/plain"), *([(b"allow", b"GET")] if status == 405 else [])]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"behind"})


class Client:
    """Calls the route as an ASGI server does."""

    def __init__(self, worker):
        self._app = ModelApp(bentoml_app, worker)

    async def ask(self, path="/predict", body=BODY, *, method="POST", headers=JSON, parts=None, hold=None):
        """Status, headers and body; `parts` sends the body piece by piece, `hold` waits before the last one."""
        pieces = [body] if parts is None else list(parts)
        messages = [
            {"type": "http.request", "body": piece, "more_body": number < len(pieces)}
            for number, piece in enumerate(pieces, 1)
        ]
        if not messages:
            messages = [{"type": "http.disconnect"}]
        answer = []

        async def receive():
            if hold is not None and len(messages) == 1:
                await hold.wait()
            return messages.pop(0)

        async def send(message):
            answer.append(message)

        scope = {
            "type": "http",
            "path": path,
            "method": method,
            "client": ("127.0.0.1", 5000),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        await self._app(scope, receive, send)
        if not answer:
            return None, {}, b""
        found = {name.decode(): value.decode() for name, value in answer[0]["headers"]}
        return answer[0]["status"], found, b"".join(message["body"] for message in answer[1:])

    def __call__(self, *arguments, **options):
        return asyncio.run(self.ask(*arguments, **options))


def counted(worker):
    """The samples of the metrics that are not zero, by name and labels."""
    worker.request_log.flush()
    lines = worker.metrics.expose()[0].decode().splitlines()
    samples = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in samples.items() if float(value) and "_bucket" not in name}


def test_an_answer_is_the_models_own_in_whatever_pieces_the_body_comes(worker):
    expected = worker.predictor.answer("predict", BODY)
    for parts in ([BODY], [BODY[:5], BODY[5:]], [BODY, b""], [b"", BODY]):
        status, headers, body = Client(worker)(parts=parts)
        assert (status, body) == expected
        assert headers["content-length"] == str(len(body))


@pytest.mark.parametrize(
    "kind",
    [None, "application/json", "Application/JSON; charset=UTF-8", "application/vnd.x+json",
     "application/x-www-form-urlencoded", 'application/json; charset="utf-8"'],
)  # fmt: skip
def test_content_that_may_be_json(kind):
    check_content(None if kind is None else kind.encode(), None)


@pytest.mark.parametrize(
    ("kind", "encoding"),
    [("text/csv", None), ("multipart/form-data; boundary=x", None), ("application/json; charset=utf-16", None),
     ("application/json", "gzip"), ("", None)],
)  # fmt: skip
def test_content_that_is_not_json_is_415(worker, kind, encoding):
    with pytest.raises(HttpError):
        check_content(kind.encode(), None if encoding is None else encoding.encode())
    status, _, body = Client(worker)(
        headers={"content-type": kind, **({"content-encoding": encoding} if encoding else {})}
    )
    assert status == 415
    assert json.loads(body)["error"]["message"]


def test_another_method_is_405_and_says_which_is_taken(worker):
    status, headers, _ = Client(worker)(method="PUT")
    assert (status, headers["allow"]) == (405, "POST")


class Connection:
    """As uvicorn's of another version: a class of this name, whose connections have other attributes."""

    def __init__(self, *attributes):
        self.received = b""
        for name in attributes:
            setattr(self, name, None)

    def data_received(self, data):
        self.received += data


@pytest.mark.parametrize("attributes", [(), ("scope",), ("scope", "headers")])
def test_a_uvicorn_that_is_not_known_is_left_alone_and_logged_once(monkeypatch, caplog, attributes):
    from uvicorn.protocols.http import auto

    monkeypatch.setattr(auto, "AutoHTTPProtocol", type("HttpToolsProtocol", (Connection,), {}))
    compat.report_unknown.cache_clear()
    compat.limit_headers()
    for _ in range(3):
        connection = auto.AutoHTTPProtocol(*attributes)
        for _ in range(40):
            connection.data_received(b"x" * 4096)
        assert connection.received == b"x" * 4096 * 40
    (line,) = caplog.messages
    assert line.startswith(f"uvicorn {metadata.version('uvicorn')} differs from 0.3 to 0.54: ")


def test_the_parser_of_h11_keeps_its_own_limit(monkeypatch):
    from uvicorn.protocols.http import auto, h11_impl

    monkeypatch.setattr(auto, "AutoHTTPProtocol", h11_impl.H11Protocol)
    compat.limit_headers()
    assert auto.AutoHTTPProtocol is h11_impl.H11Protocol


def test_a_bentoml_that_is_not_known_is_not_wrapped_and_logged_once(caplog):
    class Renamed:
        pass

    class Changed:
        def to_asgi(self, is_main=True, more=None):
            pass

    class Known:
        def to_asgi(self, is_main=True):
            pass

    compat.report_unknown.cache_clear()
    assert [compat.can_wrap_asgi(service) for service in (Known, Changed, Renamed, Changed)] == [True, *[False] * 3]
    (line,) = caplog.messages
    assert "requests pass through its middleware first" in line


@pytest.mark.parametrize(
    ("path", "method", "status", "says"),
    [
        ("/nowhere", "GET", 404, "'/nowhere' does not exist; send rows to /predict"),
        ("/docs.json", "PUT", 405, "PUT is not allowed here; use GET"),
        ("/livez", "PUT", 405, "PUT is not allowed here; use GET"),
    ],
)
def test_unknown_bentoml_routes_are_refused_in_our_format(worker, path, method, status, says):
    client = Client(worker)
    answered, headers, body = client(path, method=method, headers={"x-request-id": "one"})
    assert (answered, json.loads(body)) == (status, {"error": {"message": says, "row": None, "column": None}})
    assert headers.get("allow") == ("GET" if status == 405 else None)
    assert (headers["x-request-id"], headers["content-length"]) == ("one", str(len(body)))
    assert counted(worker)[f'amlcore_requests_total{{route="other",status="{status}"}}'] == 1
    assert client("/docs.json", method="GET")[2] == b"behind"


def test_a_body_over_the_limit_is_413_with_or_without_content_length(worker):
    client, body = Client(worker), b'{"data": [[' + b"1," * 600 + b"1]]}"
    told = client(body=body, headers={**JSON, "content-length": str(len(body))})
    assert told[0] == client(body=body)[0] == client(parts=[body[:900], body[900:]])[0] == 413
    assert "1000 bytes" in told[2].decode()
    assert client(parts=[b" " * 500, b" " * 400, b" "])[0] == 400  # within the limit, and no JSON


def test_a_body_lost_by_an_upgrade_is_reported(worker):
    client, asks = Client(worker), {**JSON, "connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c"}
    status, _, body = client(body=b"", headers=asks)
    assert (status, "Upgrade" in json.loads(body)["error"]["message"]) == (400, True)
    assert client(headers=asks)[0] == client(parts=[b"", BODY], headers=asks)[0] == 200
    assert "not JSON" in client(body=b"")[2].decode()


def test_a_client_that_leaves_is_noted_and_answered_nothing(worker):
    client = Client(worker)
    assert client(parts=[])[0] is None
    assert counted(worker)['amlcore_requests_total{route="predict",status="499"}'] == 1
    assert len(worker.in_flight) == 0


def test_a_request_keeps_its_id_and_gets_one_where_it_has_none(worker):
    client = Client(worker)
    assert client(headers={**JSON, "x-request-id": "abc-1"})[1]["x-request-id"] == "abc-1"
    made = [client()[1]["x-request-id"] for _ in range(2)]
    assert made[0] != made[1]
    for bad in ('"}\n{"', "x" * 129, ""):
        assert client(headers={**JSON, "x-request-id": bad})[1]["x-request-id"] not in (bad, *made)
    assert client("/docs.json", method="GET", headers={"x-request-id": "d"})[1]["x-request-id"] == "d"


# -- keys


@pytest.fixture
def keys_file(tmp_path):
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"primary": "p" * 20, "secondary": "s" * 20}))
    return path


def bearer(key):
    return {**JSON, "authorization": f"Bearer {key}"}


def test_either_key_opens_all_and_health_needs_none(model, keys_file):
    client = Client(make(model, keys=KeyGuard(keys_file)))
    for path, method in (("/predict", "POST"), ("/metrics", "GET"), ("/docs.json", "GET"), ("/", "GET")):
        assert [client(path, method=method, headers=bearer(key))[0] for key in ("p" * 20, "s" * 20)] == [200, 200]
        for headers in (JSON, bearer("x" * 20), bearer(""), {"authorization": "Basic " + "p" * 20}, bearer("p" * 21)):
            status, answered, body = client(path, method=method, headers=headers)
            assert (status, answered["www-authenticate"]) == (401, "Bearer")
            assert "p" * 20 not in body.decode()
    for path in ("/livez", "/readyz", "/healthz"):
        assert client(path, method="GET", headers={})[0] == 200


def test_a_replaced_key_is_taken_while_it_serves(model, keys_file, monkeypatch):
    monkeypatch.setattr(key_guard, "RELOAD_S", 0.0)
    client = Client(make(model, keys=KeyGuard(keys_file)))
    fresh = keys_file.with_name("fresh")
    fresh.write_text(json.dumps({"primary": "n" * 20, "secondary": "s" * 20}))
    fresh.replace(keys_file)
    assert [client(headers=bearer(key * 20))[0] for key in "psn"] == [401, 200, 200]
    keys_file.write_text("{")  # what cannot be read opens and closes nothing
    assert [client(headers=bearer(key * 20))[0] for key in "psn"] == [401, 200, 200]
    keys_file.unlink()
    assert [client(headers=bearer(key * 20))[0] for key in "psn"] == [401, 200, 200]


def test_a_service_without_its_keys_says_where_they_come_from(tmp_path):
    short, broken = tmp_path / "short", tmp_path / "broken"
    short.write_text('{"primary": "a", "secondary": "b"}')
    broken.write_text("[]")
    for environment, says in (
        ({}, "AMLCORE_SERVICE_KEYS is not set. Start it with `aml serve flowers`"),
        ({"AMLCORE_SERVICE_KEYS": str(tmp_path / "none")}, "No such file"),
        ({"AMLCORE_SERVICE_KEYS": str(short)}, "does not contain keys"),
        ({"AMLCORE_SERVICE_KEYS": str(broken)}, "does not contain keys"),
    ):
        with pytest.raises(KeysFault, match=says):
            KeyGuard.of("flowers", environment)


# -- limits


class Slow:
    """A model whose answers wait until they are let go."""

    def __init__(self):
        self.go = threading.Event()
        self.calls = 0

    def answer(self, method, body):
        self.calls += 1
        self.go.wait(20)
        return 200, b'{"predictions": [1]}'


def test_requests_over_the_concurrency_limit_are_429(model):
    worker = make(model, max_concurrency=2)
    worker.predictor = slow = Slow()
    client = Client(worker)

    async def scene():
        inside = [asyncio.ensure_future(client.ask()) for _ in range(2)]
        await asyncio.sleep(0.05)
        refused = await client.ask()
        health = await client.ask("/livez", method="GET")
        slow.go.set()
        return refused, health, await asyncio.gather(*inside), await client.ask()

    refused, health, inside, later = asyncio.run(scene())
    assert (refused[0], refused[1]["retry-after"], health[0]) == (429, "1", 200)
    assert [status for status, *_ in inside] == [200, 200]
    assert later[0] == 200
    assert len(worker.in_flight) == 0


def test_a_late_request_is_504_and_leaves_no_backlog(model):
    worker = make(model, timeout_s=0.1, max_concurrency=2)
    worker.predictor = slow = Slow()
    client = Client(worker)

    async def scene():
        late = await asyncio.gather(*(client.ask() for _ in range(2)))
        running = worker.threads.abandoned
        third = await client.ask()
        slow.go.set()
        while worker.threads.abandoned:
            await asyncio.sleep(0.01)
        return late, running, third, await client.ask()

    late, running, third, after = asyncio.run(scene())
    assert [status for status, *_ in late] == [504, 504]
    assert "0.1 s" in late[0][2].decode()
    assert running == 1  # the one that a thread had begun; the other was dropped
    assert third[0] == 504
    assert slow.calls == 2  # the first, and the one after all was over
    assert after[0] == 200


def test_a_call_that_ends_as_its_time_does_takes_no_place_for_ever(worker):
    """Its answer is there, but the request is cancelled before it wakes up to take it."""

    async def scene():
        task = asyncio.ensure_future(worker.threads.run(lambda: (200, b""), Pace(), 1))
        await asyncio.sleep(0)
        time.sleep(0.1)  # the loop stands still, and the thread has handed its answer to it
        asyncio.get_running_loop().call_soon(task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(10):
            await asyncio.sleep(0.01)
        return worker.threads.abandoned

    assert asyncio.run(scene()) == 0


def test_a_body_that_does_not_come_is_408(model):
    worker = make(model, timeout_s=0.1)

    async def scene():
        return await Client(worker).ask(parts=[BODY[:4], BODY[4:]], hold=asyncio.Event())

    status, headers, _ = asyncio.run(scene())
    assert (status, headers["connection"]) == (408, "close")


def test_each_request_has_its_own_time():
    async def scene():
        in_flight, ended = InFlight(0.2), []

        async def request(name, seconds):
            task = in_flight.enter(time.perf_counter())
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                ended.append((name, in_flight.is_overdue(task)))
            finally:
                in_flight.leave(task)

        tasks = [asyncio.ensure_future(request("first", 5)), asyncio.ensure_future(request("quick", 0))]
        await asyncio.sleep(0.1)
        tasks.append(asyncio.ensure_future(request("second", 5)))
        await asyncio.sleep(0.15)
        before = list(ended)
        stopped = asyncio.ensure_future(request("stopped", 5))
        await asyncio.sleep(0.01)
        stopped.cancel()
        await asyncio.gather(*tasks, stopped)
        return before, ended, len(in_flight)

    before, ended, left = asyncio.run(scene())
    assert before == [("first", True)]
    assert sorted(ended) == [("first", True), ("second", True), ("stopped", False)]
    assert left == 0


def test_a_fault_of_the_model_in_a_thread_reaches_its_own_request(worker):
    class Broken:
        def answer(self, method, body):
            raise MemoryError("too much")

    worker.predictor = Broken()
    with pytest.raises(MemoryError):
        Client(worker)()
    assert len(worker.in_flight) == 0


def test_the_pace_learns_what_is_quick():
    pace = Pace()
    pace.learn(100, 0.003)
    assert pace.quick_bytes == 0  # neither quick nor slow
    pace.learn(100, 0.0001)
    assert pace.quick_bytes == 200
    pace.learn(50, 0.0001)
    assert pace.quick_bytes == 200
    pace.learn(1 << 20, 0.0001)
    assert pace.quick_bytes == 1 << 16
    pace.learn(300, 0.1)
    assert pace.quick_bytes == 150


def test_one_slow_answer_may_be_an_interruption_and_two_are_not():
    """What else a machine runs stops this process for some milliseconds; nothing goes to threads for that."""
    pace = Pace()
    pace.learn(1000, 0.0001)
    for seconds in (0.02, 0.0001, 0.02, 0.003, 0.02):
        pace.learn(1000, seconds)
        assert pace.quick_bytes == 2000
    pace.learn(1000, 0.02)
    assert pace.quick_bytes == 500


def test_quick_answers_are_given_by_the_loop_and_slow_ones_by_a_thread(worker, monkeypatch):
    clock, loops = [0.0], []
    for module in (app, concurrency):
        monkeypatch.setattr(module, "perf_counter", lambda: clock[0])

    class Timed:
        seconds = 0.0

        def answer(self, method, body):
            loops.append(threading.current_thread() is threading.main_thread())
            clock[0] += self.seconds
            return 200, b'{"predictions": [1]}'

    worker.predictor = timed = Timed()
    client = Client(worker)

    async def scene():
        for timed.seconds in (0.0, 0.0, 0.02, 0.02, 0.0, 0.0):
            await client.ask()

    asyncio.run(scene())
    assert loops == [False, True, True, True, False, True]


def test_health_comes_between_many_quick_answers(model, monkeypatch):
    """Each takes a millisecond: after ten of them the loop looks for what has come in since."""
    clock, order = [0.0], []
    monkeypatch.setattr(app, "perf_counter", lambda: clock[0])

    class Timed:
        def answer(self, method, body):
            clock[0] += 0.001
            order.append("answer")
            return 200, b'{"predictions": [1]}'

    worker = make(model, max_concurrency=100)
    worker.predictor = Timed()
    worker.paces["predict"].quick_bytes = 1000
    client = Client(worker)

    async def health():
        await asyncio.sleep(0)  # it arrives one turn after the others
        order.append((await client.ask("/livez", method="GET"))[0])

    async def scene():
        await asyncio.gather(*(client.ask() for _ in range(64)), health())

    asyncio.run(scene())
    assert order.count("answer") == 64
    assert order.index(200) < 30


# -- what is counted and written


def test_services_that_share_bentomls_home_count_apart(tmp_path, monkeypatch):
    """BentoML gives them one folder, and each service that starts empties it."""
    shared, counted_by = tmp_path / prometheus.SHARED, []
    stale = tmp_path / "amlcore_metrics" / f"{os.getpid()}-1"
    stale.mkdir(parents=True)
    for supervisor in (os.getpid(), os.getppid(), os.getpid()):
        monkeypatch.setattr(os, "getppid", lambda supervisor=supervisor: supervisor)
        monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(shared))
        prometheus.keep_apart()
        counted_by.append(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
    first, second, again = counted_by
    assert first == again != second
    assert sorted(stale.parent.iterdir()) == sorted({first, second})  # of one that has ended nothing is left
    assert shared not in (*first.parents, *second.parents)


def test_labels_of_metrics_are_bounded(worker):
    client = Client(worker)
    for number in range(5):
        assert client(f"/nowhere/{number}", method="GET")[0] == 200
        assert client("/nowhere", method="GET")[0] == 404
    client()
    client(body=b"{")
    counters = counted(worker)
    assert counters['amlcore_requests_total{route="other",status="404"}'] == 5
    assert counters['amlcore_requests_total{route="predict",status="200"}'] == 1
    assert counters['amlcore_requests_total{route="predict",status="400"}'] == 1
    assert counters['amlcore_request_duration_seconds_count{route="predict"}'] == 2
    assert counters['amlcore_predictions_total{label="0"}'] == 1
    assert not [name for name in counters if "nowhere" in name]


def test_predictions_are_counted_by_label_and_the_many_as_other(worker):
    def answer(predictions):
        worker.metrics.predicted(json.dumps({"predictions": predictions}).encode())

    answer(["yes", "no", "yes"])
    answer([0.5, 0.7])
    answer([[1, 2]])
    answer([])
    answer(list(range(MAX_LABELS + 10)))
    answer(["no"])
    answer(["no"])
    counters = {name: value for name, value in counted(worker).items() if "predictions_total" in name}
    assert counters['amlcore_predictions_total{label="yes"}'] == 2
    assert counters['amlcore_predictions_total{label="no"}'] == 3
    assert len(counters) == MAX_LABELS + 1
    assert counters['amlcore_predictions_total{label="other"}'] == 12


def test_requests_of_one_turn_are_counted_as_those_that_come_alone(model):
    """A turn's are added up before prometheus_client hears of them."""
    fronts = [make(model, max_concurrency=100) for _ in range(2)]
    took = [0.0001, 0.00025, 0.003, 0.003, 99.0]
    request_log = [LoggedRequest("predict", 200, seconds, "r", {}, 0, 0, b'{"predictions": ["a"]}') for seconds in took]
    request_log.append(LoggedRequest("other", 404, 0.001, "r", {}, 0, 0))
    fronts[0].metrics.count(request_log)
    for note in request_log:
        fronts[1].metrics.count([note])
    together, alone = (
        [line for line in worker.metrics.expose()[0].decode().splitlines() if "_created" not in line]
        for worker in fronts
    )
    assert together == alone
    assert 'amlcore_request_duration_seconds_bucket{le="0.00025",route="predict"} 2.0' in together
    assert 'amlcore_predictions_total{label="a"} 5.0' in together


def test_the_log_has_a_line_of_json_a_request(model, tmp_path):
    worker = make(model, logs=True)
    with (tmp_path / "log").open("wb") as stream:
        worker.access = AccessLog(stream.fileno())
        client = Client(worker)

        async def scene():
            await client.ask(headers={**JSON, "x-request-id": "one", "authorization": "Bearer secret"})
            await client.ask('/no"where\n' + "x" * 300, method="GET", headers={})
            await client.ask("/livez", method="GET")
            await asyncio.sleep(2 * FLUSH_S)
            assert (tmp_path / "log").read_text().count("\n") == 2
            await client.ask("/metrics", method="GET", headers={})
            await ModelApp(stop, worker)({"type": "lifespan"}, None, None)  # a service that stops writes what it has

        async def stop(*_):
            pass

        asyncio.run(scene())
    text = (tmp_path / "log").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(line["method"], line["status"]) for line in lines] == [("POST", 200), ("GET", 200), ("GET", 200)]
    assert lines[0].items() >= {"request": "one", "client": "127.0.0.1", "path": "/predict", "received": 32}.items()
    assert len(lines[1]["path"]) == 200
    assert "secret" not in text


def test_a_killed_worker_loses_a_bounded_number_of_log_lines():
    """What nobody has counted yet is lost with `kill -9`, however much is answered within a turn."""
    settled = []
    request_log, note = RequestLog(settled.extend), LoggedRequest("predict", 200, 0.1, "r", {}, 0, 0)

    async def scene():
        for number in range(1, 3 * MAX_OPEN):
            request_log.add(note)
            assert number - len(settled) < MAX_OPEN
        return len(settled)

    assert asyncio.run(scene()) == 2 * MAX_OPEN


def test_many_log_lines_are_flushed_after_the_answers():
    turns = []
    request_log, note = (
        RequestLog(lambda those: turns.append(len(those))),
        LoggedRequest("predict", 200, 0.1, "r", {}, 0, 0),
    )

    async def scene():
        for _ in range(FLUSH_SOON + 1):
            request_log.add(note)
        assert turns == []
        await asyncio.sleep(0)
        assert turns == [FLUSH_SOON + 1]
        request_log.add(note)
        await asyncio.sleep(2 * FLUSH_S)
        request_log.add(note)
        await asyncio.sleep(2 * FLUSH_S)
        assert turns == [FLUSH_SOON + 1, 1, 1]

    asyncio.run(scene())


def test_the_log_is_written_in_pieces_that_a_pipe_takes_whole(tmp_path):
    reading, writing = os.pipe()
    log = AccessLog(writing)
    scope = {"method": "GET", "path": "/" + "y" * 150, "client": None}
    log.write([LoggedRequest("predict", 200, 0.1, str(number), scope, 0, 0) for number in range(60)])
    os.close(writing)
    with open(reading, "rb") as stream:
        lines = stream.read().splitlines()
    assert [json.loads(line)["request"] for line in lines] == [str(number) for number in range(60)]
    assert max(map(len, lines)) < ATOMIC


def test_a_forwarded_address_is_one_string_in_the_log(tmp_path):
    """Uvicorn reads X-Forwarded-For; what it holds there is any text."""
    scope = {"method": "GET", "path": "/", "client": ('1", "status": 200, "x": "' + "y" * 9000, 0)}
    with (tmp_path / "log").open("wb") as stream:
        AccessLog(stream.fileno()).write([LoggedRequest("other", 401, 0, "r", scope, 0, 0)])
    line = (tmp_path / "log").read_bytes()
    assert json.loads(line).items() >= {"client": scope["client"][0][:100], "status": 401}.items()
    assert len(line) < ATOMIC


def test_a_log_that_nobody_reads_stops_nothing():
    reading, writing = os.pipe()
    os.close(reading)
    AccessLog(writing).write(
        [LoggedRequest("other", 200, 0, "r", {"method": "GET", "path": "/", "client": None}, 0, 0)]
    )
    with pytest.raises(BrokenPipeError):  # as a writer that does not care would get it
        os.write(writing, b"line")
    os.close(writing)


def test_cores_are_those_of_the_container(tmp_path, monkeypatch):
    from amlcore.serving.runtime import cores

    monkeypatch.setattr(cores, "ROOT", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert cores.cores() == 8
    for text, expected in (("max 100000", 8), ("250000 100000", 2), ("50000 100000", 1), ("1600000 100000", 8)):
        (tmp_path / "cpu.max").write_text(text)
        assert cores.cores() == expected
    (tmp_path / "cpu.max").unlink()
    Path(tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    for text, expected in (("-1\n", 8), ("300000\n", 3)):
        (tmp_path / "cpu/cpu.cfs_quota_us").write_text(text)
        assert cores.cores() == expected


def test_importing_the_service_loads_no_model_libraries():
    """The supervisor imports the service too, before it starts a worker."""
    libraries = {"numpy", "scipy", "sklearn", "pandas"}
    code = f"import sys, amlcore.serving.runtime.bento_service; print({libraries} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
