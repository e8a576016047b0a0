"""Locked doors: who is let in, what each key may say, and that tenants are apart."""
import os
import pathlib
import re
import subprocess

import pytest
import house
import raw
import zmq.auth
from house import MAY, NUMBERS, ROLES, Client, Refused, Worker, is_shut, known, metric, pb, until

CLIENT_VERBS = [name for name, number in NUMBERS.items() if number < 64 and ROLES[name]]


# ---- who is let in ----------------------------------------------------------------------------------------------------

def test_a_key_opens_the_door_and_no_key_does_not(locked, keyring, key_of, peers):
    mine = key_of(MAY["submit"].format("acme"))
    assert peers(Client, locked, key=mine).ask("MODELS") is not None
    assert is_shut(peers(Client, locked)), "no key"
    keyring.command("generate", "stranger", "--server-key", keyring.file("broker"), ring=False)
    assert is_shut(peers(Client, locked, key=keyring.file("stranger"))), "a key in no keyring"
    until(lambda: metric(locked, 'handshakes_total{result="unknown"}') >= 1, what="a refused handshake is counted")
    assert keyring.public("stranger").replace("\\", "\\\\") in locked.log(), "and named in the log"


def test_a_peer_that_takes_another_for_the_broker_says_nothing(locked, keyring, key_of, peers):
    mine = key_of(MAY["submit"].format("acme"))
    text = open(mine, encoding="utf-8").read().replace(keyring.public("broker"), zmq.curve_keypair()[0].decode())
    other = pathlib.Path(keyring.folder) / "misled.key"
    other.write_text(text, encoding="utf-8")
    assert is_shut(peers(Client, locked, key=str(other)))


def test_certificates_of_pyzmq_are_keys_and_keys_are_certificates(locked, keyring, peers):
    public_file, secret_file = zmq.auth.create_certificates(keyring.folder, "python")
    public, _ = zmq.auth.load_certificate(public_file)
    keyring.write(keyring.text() + f"python {public.decode()} tenant=snake roles=submit\n")
    with open(secret_file, "a", encoding="utf-8") as out:
        out.write(f"    server-key = \"{keyring.public('broker')}\"\n")
    os.chmod(secret_file, 0o600)
    known(locked, keyring)
    assert peers(Client, locked, key=secret_file).ask("MODELS") is not None
    shown = subprocess.run([str(house.BUILD / "darkroom"), "--broker", locked.endpoint, "--key", secret_file, "models"],
                           capture_output=True, text=True, timeout=20)
    assert shown.returncode == 0, shown.stderr
    assert zmq.auth.load_certificate(keyring.file("broker"))[0].decode() == keyring.public("broker")


@pytest.mark.parametrize("words,says", [
    (["--listen", "tcp://0.0.0.0:0"], "--key FILE"),
    (["--key", "{broker}"], "--keyring is missing"),
    (["--keyring", "{ring}"], "--key is missing"),
    (["--key", "{broker}", "--keyring", "{ring}", "--allow-plaintext"], "exclude each other"),
    (["--key", "{loose}", "--keyring", "{ring}"], "chmod 600"),
    (["--key", "{swapped}", "--keyring", "{ring}"], "does not belong to its secret-key"),
    (["--key", "{public}", "--keyring", "{ring}"], "no secret-key"),
    (["--key", "{broker}", "--keyring", "{bad}"], "line 2: roles=king: \"king\" is no role"),
    (["--key", "{broker}", "--keyring", "/nowhere/keyring"], "/nowhere/keyring"),
])
def test_settings_that_would_lock_nothing_are_refused_at_the_start(keyring, words, says):
    folder = pathlib.Path(keyring.folder)
    own = open(keyring.file("broker"), encoding="utf-8").read()
    paths = {"broker": keyring.file("broker"), "ring": keyring.path}
    for name, text, mode in (("loose", own, 0o644), ("public", re.sub(r".*secret-key.*\n", "", own), 0o600),
                             ("swapped", own.replace(keyring.public("broker"), keyring.public("operator")), 0o600),
                             ("bad", f"# mine\nking {keyring.public('operator')} roles=king\n", 0o600)):
        path = folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        paths[name] = str(path)
    done = subprocess.run([str(house.BUILD / "darkroom-broker"), "--redis", "unix:///nowhere/redis.sock", "--listen",
                           f"ipc://{keyring.folder}/sock", *[word.format(**paths) for word in words]],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode in (64, 69) and says in done.stderr, (done.returncode, done.stderr)


# ---- what a key may say -----------------------------------------------------------------------------------------------

def message_of(verb, tenant=None):
    """The least message that the verb's first checks let pass, about a job of that tenant where it names one."""
    kind = next(kind for name, kind in house.VERBS.values() if name == verb)
    names = {field.name for field in kind.DESCRIPTOR.fields}
    fields = {"id": ["none"] if verb == "WATCH" else "none", "worker": "w1", "generation": 1, "fence": 1, "tenant": tenant,
              "kind": 1 if verb == "FAIL" else None, "job": pb.Job(prompt="a lake") if verb == "SUBMIT" else None}
    return kind(**{name: value for name, value in fields.items() if name in names and value is not None})


def verdict(peer, verb, tenant=None):
    """What became of it: "" or the code of its refusal. CLAIM is answered only when it is refused."""
    correlation = peer.send(verb, message_of(verb, tenant))
    got = peer.take(lambda _, number, __: number == correlation, 1.0 if verb == "CLAIM" else 5.0)
    assert got or verb == "CLAIM", f"{verb} was not answered"
    return pb.ErrorCode.Name(got[2].code) if got and got[0] == "ERROR" else ""


@pytest.mark.parametrize("role", house.EVERY_ROLE)
def test_every_verb_as_every_role_and_about_another_tenant(locked, key_of, peers, role):
    peer = peers(Client, locked, key=key_of(MAY[role].format("acme")))
    for verb in CLIENT_VERBS:
        allowed = role in ROLES[verb]
        said = verdict(peer, verb)
        assert (said == "ERROR_FORBIDDEN") == (not allowed), (verb, role, said)
        names_tenant = "tenant" in {field.name for field in message_of(verb).DESCRIPTOR.fields}
        if allowed and names_tenant and "work" not in ROLES[verb]:
            other = verdict(peer, verb, tenant="beta")
            assert (other == "ERROR_FORBIDDEN") == (role != "operate"), (verb, role, other)


def test_a_refusal_names_the_role(locked, key_of, peers):
    peer = peers(Client, locked, key=key_of(MAY["metrics"].format("acme")))
    with pytest.raises(Refused) as refused:
        peer.get("lake-1")
    assert refused.value.error.limit == "submit or operate" and "k0 has metrics" in refused.value.error.message
    assert metric(locked, 'requests_forbidden_total{reason="role"}') == 1


def test_verbs_def_gives_every_verb_of_a_peer_a_role():
    for name, number in NUMBERS.items():
        assert bool(ROLES[name]) == (number < 64), name


def test_a_workers_name_is_its_keys(locked, key_of, peers):
    key = key_of("roles=work worker=gpu-1")
    stranger = peers(Worker, locked, name="gpu-1", key=key)
    for verb in ("HELLO", "CLAIM", "START", "BEAT", "COMPLETE", "FAIL", "RELEASE", "BYE"):
        message = message_of(verb)
        message.worker = "gpu-2"
        correlation = stranger.send(verb, message)
        got = stranger.take(lambda _, number, __: number == correlation)
        assert got and pb.ErrorCode.Name(got[2].code) == "ERROR_FORBIDDEN" and got[2].field == "worker", (verb, got)
    several = key_of("roles=work worker=cpu-*")
    assert peers(Worker, locked, name="cpu-7", key=several).generation > 0
    with pytest.raises(Refused):
        peers(Worker, locked, name="gpu-1", key=several)


def test_hello_says_only_what_its_key_allows(locked, key_of, peers):
    key = key_of("roles=work worker=w* models=demo,other default-model=demo")
    worker = peers(Worker, locked, name="w1", models=("demo", "other"), key=key)
    with pytest.raises(Refused) as refused:
        peers(Worker, locked, name="w2", models=("demo", "secret"), key=key)
    assert refused.value.code == "ERROR_FORBIDDEN" and refused.value.error.field == "model"
    number = worker.send("CLAIM", pb.Claim(credit=[pb.Credit(model="secret", jobs=1)], **worker.me()))
    got = worker.take(lambda _, correlation, __: correlation == number)
    assert got and pb.ErrorCode.Name(got[2].code) == "ERROR_FORBIDDEN"
    client = peers(Client, locked, key=key_of(MAY["submit"].format("acme")))
    assert client.ask("MODELS").default_model == "demo"
    peers(Worker, locked, name="w3", models=("other",), key=key)
    assert client.ask("MODELS").default_model == "demo", "other is not this key's to say"


# ---- tenants are apart ------------------------------------------------------------------------------------------------

@pytest.fixture
def two(locked, key_of, peers):
    """Two tenants and a worker."""
    worker = peers(Worker, locked, name="w1", key=key_of("roles=work worker=w* default-model=demo"))
    acme, beta = (peers(Client, locked, key=key_of(MAY["submit"].format(name))) for name in ("acme", "beta"))
    return worker, acme, beta


def test_one_id_is_two_jobs(two, redis):
    worker, acme, beta = two
    assert not acme.submit("of acme", id="lake-1", watch=True).existed
    assert not beta.submit("of beta", id="lake-1", watch=True).existed
    assert acme.submit("of acme", id="lake-1").existed
    assert acme.get("lake-1").job.prompt == "of acme" and beta.get("lake-1").job.prompt == "of beta"
    worker.claim(jobs=2)
    given = {assign.job.tenant: assign for assign in (worker.assigned(), worker.assigned())}
    assert {tenant: assign.job.prompt for tenant, assign in given.items()} == {"acme": "of acme", "beta": "of beta"}
    for assign in given.values():
        assert worker.start(assign) == "OK"
    assert acme.cancel("lake-1") == "SIGNALLED"
    orders = worker.beat((given["acme"], 1), (given["beta"], 1))
    assert list(orders.cancel) == ["lake-1"] and list(orders.cancel_fence) == [given["acme"].fence]
    assert worker.fail(given["acme"], kind="CANCELLED") == "OK"
    assert worker.complete(given["beta"]) == "OK"
    assert acme.event("TERMINAL").status.state == pb.JOB_STATE_CANCELLED
    ended = beta.event("TERMINAL")
    assert ended.id == "lake-1" and ended.status.state == pb.JOB_STATE_SUCCEEDED and ended.status.id == "lake-1"
    assert acme.event("TERMINAL", seconds=0.5) is None, "nothing of the other's"


def test_another_tenants_job_is_not_there(two):
    _, acme, beta = two
    acme.submit("secret", id="only-acmes")
    for ask in (lambda: beta.get("only-acmes"), lambda: beta.cancel("only-acmes"), lambda: beta.explain("only-acmes"),
                lambda: beta.ask("WATCH", pb.Watch(id=["only-acmes"]))):
        with pytest.raises(Refused) as refused:
            ask()
        assert refused.value.code == "ERROR_NOT_FOUND"
    assert [job.id for job in acme.list()] == ["only-acmes"] and beta.list() == [] and beta.list(limit=1000) == []


def test_no_message_says_whose_it_is(two, redis):
    _, acme, beta = two
    beta.submit("pretended", id="pretended", tenant="acme")
    assert beta.get("pretended").job.tenant == "beta"
    with pytest.raises(Refused) as refused:
        acme.get("pretended")
    assert refused.value.code == "ERROR_NOT_FOUND"


def test_a_greeting_that_says_whose_it_is_is_not_believed(brokers, keyring):
    """A User-Id in a peer's own greeting: where no key is asked for it is nobody's, and everybody is tenant default."""
    mine = keyring.add("acme", MAY["submit"].format("acme"))
    broker = brokers(*keyring.of_broker)
    connection, frames = raw.meet(broker.endpoint, user=house.field_of(mine, "public-key").encode())
    connection.sendall(raw.request("STATUS", pb.Status(), 5))
    got = frames.message()
    assert got[0] == "FLEET_STATUS", got


def test_operators_see_every_tenant_and_that_is_logged(two, locked, key_of, peers):
    _, acme, _ = two
    acme.submit("secret", id="lake-1")
    operator = peers(Client, locked, key=key_of(MAY["operate"].format("house")))
    with pytest.raises(Refused) as refused:
        operator.get("lake-1")
    assert refused.value.code == "ERROR_NOT_FOUND", "its own tenant has none"
    assert operator.ask("GET", pb.Get(id="lake-1", tenant="acme")).job.prompt == "secret"
    assert [job.id for job in operator.ask("LIST", pb.List(tenant="acme")).job] == ["lake-1"]
    assert re.search(r"event=operator_at_tenant key=k\d+ tenant=acme verb=GET", locked.log())
    shown = subprocess.run([str(house.BUILD / "darkroom"), "--broker", locked.endpoint, "--key", operator.key, "cancel",
                            "--tenant", "acme", "lake-1"], capture_output=True, text=True, timeout=20)
    assert shown.returncode == 0 and acme.state("lake-1") == "CANCELLED", shown.stderr
