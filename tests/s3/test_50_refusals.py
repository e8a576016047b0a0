"""Whatever a store says, no job fails or is rendered twice for it: the picture waits, people are told why in the store's own
words, and when the store is well again it is delivered. One row per refusal, one worker through all of them."""
import hashlib

import faulty
import pytest
from faulty import Faulty
from fleet import until


def error(code, message="", root="Error"):
    return f"<?xml version=\"1.0\"?>\n<{root}><Code>{code}</Code><Message>{message}</Message></{root}>".encode()


def says(status, document=b"", method="PUT", **headers):
    """A store that answers every request of the method so."""
    def fault(request):
        if request.command != method:
            return False
        request.body()
        return request.answer(status, document, **headers)
    return fault


def hangs_up(request):
    return request.hang_up()


def forgets_what_it_was_given(request):
    if request.command != "PUT":
        return False
    request.body()
    return request.answer(200)


def cuts_its_answers(request):
    request.body()
    return request.answer(200, b"", Content_Length="100") and request.hang_up()


# what it does, and what people must be able to read
REFUSALS = {
    "a quota": (says(403, error("QuotaExceeded", "Bucket quota of 5 GiB exceeded")), "QuotaExceeded: Bucket quota of 5 GiB"),
    "a quota, MinIO's": (says(400, error("XMinioAdminBucketQuotaExceeded")), "XMinioAdminBucketQuotaExceeded"),
    "a full disk": (says(507, error("XMinioStorageFull", "Storage backend has reached its minimum free drive threshold")),
                    "XMinioStorageFull"),
    "a policy": (says(403, error("AccessDenied", "not authorized to perform: s3:PutObject")), "s3:PutObject"),
    "a policy that lets nobody read": (says(403, error("AccessDenied"), method="GET"), "s3 get: HTTP 403 AccessDenied"),
    "object lock": (says(403, error("AccessDenied", "object is WORM protected")), "WORM protected"),
    "a key of the encryption": (says(400, error("KMS.DisabledException", "arn:aws:kms:x is disabled")), "KMS.DisabledException"),
    "a token that has expired": (says(400, error("ExpiredToken", "The provided token has expired.")), "ExpiredToken"),
    "a token that is none": (says(400, error("InvalidToken")), "InvalidToken"),
    "an access key that is gone": (says(403, error("InvalidAccessKeyId")), "InvalidAccessKeyId"),
    "a secret that was changed": (says(403, error("SignatureDoesNotMatch")), "SignatureDoesNotMatch"),
    "a clock that it does not show": (says(403, error("RequestTimeTooSkewed")), "RequestTimeTooSkewed"),
    "a bucket that is gone": (says(404, error("NoSuchBucket")), "NoSuchBucket"),
    "an account that is closed": (says(403, error("AllAccessDisabled")), "AllAccessDisabled"),
    "a size": (says(413, error("EntityTooLarge")), "EntityTooLarge"),
    "a method": (says(405, error("MethodNotAllowed")), "MethodNotAllowed"),
    "what it has not": (says(501, error("NotImplemented", "A header you provided implies functionality")), "NotImplemented"),
    "a wrong region, learned from nothing": (says(301, error("PermanentRedirect")), "PermanentRedirect"),
    "a redirect": (says(307, b"", Location="http://127.0.0.1:9/x"), "HTTP 307"),
    "load": (says(503, error("SlowDown", "Please reduce your request rate."), Retry_After="1"), "SlowDown"),
    "load, in other words": (says(429, b"too many"), "HTTP 429: too many"),
    "a fault of its own": (says(500, error("InternalError")), "InternalError"),
    "a gateway before it": (says(502, b"<html><head><title>502 Bad Gateway</title></head></html>"), "502 Bad Gateway"),
    "no words at all": (says(403), "HTTP 403"),
    "no words, and no such page": (says(404), "HTTP 404"),
    "JSON": (says(403, b'{"error": {"code": "Forbidden.Quota", "message": "over, quota"}}'), "Forbidden.Quota: over, quota"),
    "XML with a prefix": (says(403, b"<s:Error xmlns:s='urn:x'>\n <s:Code>\n  <![CDATA[Odd]]>\n </s:Code></s:Error>"), "Odd"),
    "a cut connection": (hangs_up, "the store is away"),
    "cut answers": (cuts_its_answers, "the store is away"),
    "a memory like a sieve": (forgets_what_it_was_given, "s3"),
}


@pytest.fixture
def store():
    made = Faulty()
    yield made
    made.close()


def right(store, image):
    """The bytes that the record tells of are the bytes that the store has."""
    body = store.pictures()["/" + image["url"].removeprefix("s3://")]
    return hashlib.sha256(body).hexdigest() == image["sha256"] and len(body) == image["bytes"]


def spooled(fleet, worker):
    return list((fleet.folder / f"spool-{worker.name}").glob("*/complete"))


def test_every_refusal_is_waited_out(fleet, store):
    fleet.broker()
    worker = fleet.worker(store=store.store, environment=store.environment)
    for number, (what, (fault, words)) in enumerate(REFUSALS.items()):
        store.fault = fault
        job = fleet.submit(steps=1, seed=number)
        until(lambda: spooled(fleet, worker), 60, f"a picture in the spool ({what})")
        until(lambda: words in worker.admin("/readyz")[1], 30, f"readyz with {words!r} ({what}): {worker.admin('/readyz')}")
        until(lambda: words in " ".join(fleet.ask("explain", job)["reason"]), 30, f"an explanation ({what})")
        assert fleet.state(job) == "running", what
        store.fault = lambda request: False
        record = fleet.wait(job)
        assert (record["fails"], record["crashes"], record["handoffs"]) == (0, 0, 0), what
        assert right(store, record["images"][0]), what
        assert worker.metric("images_generated_total") == number + 1, f"{what}: rendered twice"
        until(lambda: worker.admin("/readyz")[0] == 200 and not spooled(fleet, worker), 30, f"a worker that is well ({what})")
    assert store.forbidden == [], "only what the README's policy allows is asked for"


def test_a_worker_that_starts_while_it_is_refused(fleet, store):
    """It stays, takes nothing yet, and says why; jobs say so, too."""
    fleet.broker()
    store.fault = says(403, error("QuotaExceeded"))
    worker = fleet.worker(store=store.store, environment=store.environment)
    assert "QuotaExceeded" in worker.admin("/readyz")[1]
    job = fleet.submit(steps=1, seed=1)
    until(lambda: "QuotaExceeded" in " ".join(fleet.ask("explain", job)["reason"]), 30, "an explanation")
    assert fleet.state(job) == "queued"
    assert "QuotaExceeded" in fleet.client("status").stdout
    store.fault = lambda request: False
    fleet.wait(job)


def test_a_restart_while_it_is_refused_delivers_from_the_spool(fleet, store):
    fleet.broker()
    worker = fleet.worker(store=store.store, environment=store.environment)
    store.fault = says(403, error("InvalidAccessKeyId"))
    job = fleet.submit(steps=1, seed=1, count=2)
    until(lambda: spooled(fleet, worker), 60, "a sealed job")
    worker.kill()
    worker.start(wait=False)
    worker.wait_for("event=leftover")
    worker.wait_for("event=store_refuses")
    until(lambda: "InvalidAccessKeyId" in " ".join(fleet.ask("explain", job)["reason"]), 30, "an explanation")
    store.fault = lambda request: False
    record = fleet.wait(job)
    worker.wait_for("event=welcomed")
    assert (record["fails"], record["crashes"], record["handoffs"]) == (0, 0, 0)
    assert all(right(store, image) for image in record["images"])
    assert worker.metric("images_generated_total") == 0, "it was rendered again"


def lower(headers):
    return {name.lower(): value for name, value in headers.items()}


# stores that are well, and say so in as few or as odd words as HTTP permits
SERVED = {
    "an ETag of MD5": {},
    "no ETag": {"shape": lambda headers: {name: value for name, value in headers.items() if name != "ETag"}},
    "an ETag that only looks like MD5 (SSE-KMS)": {"etag": lambda body: f'"{faulty.md5(b"sealed" + body)}"'},
    "an ETag of parts": {"etag": lambda body: f'"{faulty.md5(body)}-1"'},
    "a weak ETag": {"etag": lambda body: f'W/"{faulty.md5(body)}"'},
    "an ETag in capitals, without quotes": {"etag": lambda body: faulty.md5(body).upper()},
    "no length": {"chunked": True},
    "no ranges": {"ranges": False},
    "no ranges, no ETag": {"ranges": False, "etag": lambda body: '""'},
    "lower-case names": {"shape": lower},
    "no date": {"shape": lambda headers: {name: value for name, value in headers.items() if name != "Date"}},
    "blanks around values": {"shape": lambda headers: {name: f"  {value}\t" for name, value in headers.items()}},
    "201": {"statuses": {"PUT": 201}},
    "204": {"statuses": {"PUT": 204}},
}


def test_stores_that_say_little_are_served(fleet, store):
    fleet.broker()
    worker = fleet.worker(store=store.store, environment=store.environment)
    standard = {name: getattr(store, name) for name in ("etag", "shape", "statuses", "ranges", "chunked")}
    for number, (what, odd) in enumerate(SERVED.items()):
        for name, value in {**standard, **odd}.items():
            setattr(store, name, value)
        puts = sum(method == "PUT" for method, *_ in store.requests)
        record = fleet.wait(fleet.submit(steps=1, seed=number))
        assert right(store, record["images"][0]) and record["fails"] == 0, what
        assert sum(method == "PUT" for method, *_ in store.requests) == puts + 2, f"{what}: put again"
    assert worker.metric("s3_retries_total") == 0 and "event=store_" not in worker.log()
    assert store.forbidden == []


def test_keys_that_expire_are_read_again(fleet, store):
    """The file is replaced as a mounted secret is; the store refuses the old ones before or after that."""
    keys = fleet.folder / "credentials"

    def write(access, secret, token):
        fresh = fleet.folder / "credentials.new"
        fresh.write_text(f"[fleet]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\naws_session_token = {token}\n")
        fresh.rename(keys)
    write("one", "secret one", "token one")
    store.keys = {"one": ("secret one", "token one")}
    environment = {**store.environment, "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "",
                   "AWS_SHARED_CREDENTIALS_FILE": str(keys), "AWS_PROFILE": "fleet"}
    fleet.broker()
    worker = fleet.worker(store=store.store, environment=environment)
    fleet.wait(fleet.submit(steps=1, seed=1))
    write("two", "secret two", "token two")
    store.keys = {"two": ("secret two", "token two")}
    fleet.wait(fleet.submit(steps=1, seed=2))
    assert worker.metric("s3_retries_total") == 0
    store.keys = {"three": ("secret three", "token three")}
    job = fleet.submit(steps=1, seed=3)
    until(lambda: "InvalidAccessKeyId" in worker.admin("/readyz")[1], 60, "a worker without keys")
    write("three", "secret three", "token three")
    assert fleet.wait(job)["fails"] == 0
    assert worker.metric("images_generated_total") == 3
    assert not any(text in worker.log() for text in ("secret one", "secret two", "secret three", "token three"))


@pytest.mark.parametrize("region", ["", "eu-somewhere-2"])
def test_the_region_is_learned(fleet, store, region):
    fleet.broker()
    worker = fleet.worker(store=store.store, environment={**store.environment, "AWS_REGION": region})
    fleet.wait(fleet.submit(steps=1, seed=1))
    assert "event=s3_region_learned" in worker.log() and worker.metric("s3_retries_total") == 0
