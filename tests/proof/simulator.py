"""A fleet in one process: devices, tenants and time are simulated, the queue is not: the broker's own scripts in a real Redis,
whose logical clock is moved by hand. The same seed gives the same run.

Time goes in steps of STEP_MS; all that happens in a step is done to the queue in a few round trips (door.py), in the order that
brokers have: what ended, what time does, what came, who is free. Jobs last whole steps, so that no device stands still because of
the steps.
"""
import collections
import random

from door import BULK, INTERACTIVE, STANDARD, Door, Job  # noqa: F401

STEP_MS, SWEEP_MS, BEAT_MS = 50, 500, 15000
LAPSES_AFTER_MS = 30000  # a device that is silent for so long has lost its job

# What a tenant wants: `ms` is what a job really takes, `cost` what the queue is told beforehand.
Work = collections.namedtuple("Work", "job ms")
# What was given: when, to whom, after which wait.
Start = collections.namedtuple("Start", "at wait tenant klass ms device")


class Device:
    def __init__(self, name):
        self.name, self.attempt, self.free_at, self.ms = name, None, 0, 0
        self.gone_until = 0  # 0: it is there
        self.told_ms = 0     # when it said HELLO or a BEAT last: nothing else counts as life


class Tenant:
    """Jobs that come by chance, at `rate` a second in the mean; in bursts, if `on_s` is given, of so many seconds, and silence
    for as long as makes the mean right at a rate `peak` times as high. Its chance is its own: what others do changes nothing."""

    def __init__(self, name, rate, ms=1000, klass=STANDARD, spread=0.5, peak=1.0, on_s=None, told=1.0, seed=1, regular=False):
        """spread: of the lengths around ms; told: what the queue is told, as a part of the truth; regular: not by chance."""
        self.name, self.rate, self.ms, self.klass, self.spread = name, rate, ms, klass, spread
        self.peak, self.on_s, self.told, self.regular = peak, on_s, told, regular
        self.random = random.Random(f"{seed} {name} {klass}")
        self.next_ms, self.count = self.random.expovariate(1) * 1000 / rate if rate else float("inf"), 0
        self.turns_ms = float("inf")
        if on_s:
            starts_ms = self.random.uniform(0, on_s * peak * 1000)  # not all of them at once
            self.next_ms, self.turns_ms = self.next_ms + starts_ms, starts_ms + self.random.expovariate(1 / on_s) * 1000

    def job(self):
        self.count += 1
        ms = self.ms * self.random.uniform(1 - self.spread, 1 + self.spread)
        ms = max(STEP_MS, round(ms / STEP_MS) * STEP_MS)
        return Work(Job(f"{self.name}-{self.klass}-{self.count}", self.name, self.klass, max(1, int(ms * self.told)), 512), ms)

    def until(self, now_ms):
        """What has come up to now."""
        while self.next_ms <= now_ms:
            yield self.job()
            self.next_ms += 1000 / self.rate if self.regular else self.random.expovariate(self.rate * self.peak) * 1000
            if self.next_ms > self.turns_ms:  # the burst is over
                self.next_ms = self.turns_ms + self.random.expovariate(1 / (self.on_s * (self.peak - 1))) * 1000
                self.turns_ms = self.next_ms + self.random.expovariate(1 / self.on_s) * 1000


class Simulator:
    def __init__(self, client, devices, seed=1, kept=None):
        """kept: how many of the last starts are remembered; all, if it is left out."""
        client.flushall()
        self.door, self.random = Door(client), random.Random(seed)
        self.door.boot()
        self.devices = [Device(f"d{n}") for n in range(devices)]
        self.of = {device.name: device for device in self.devices}
        self.generation = self.door.hello([device.name for device in self.devices])
        self.now = 0
        self.works, self.came = {}, {}  # of accepted jobs that have not ended, by id
        self.starts = collections.deque(maxlen=kept)
        self.accepted = self.waiting = self.refused = self.lost = 0
        self.twice = []  # jobs of which a second COMPLETE was accepted
        self.answers = collections.Counter()
        self.busy_ms = self.there_ms = self.useful_ms = 0
        self.unseen = 0  # jobs that vanished with their device and are not in line yet, as far as one can tell from here

    # -- what happens in a step
    def complete(self):
        done = [device for device in self.devices if device.attempt and device.free_at <= self.now and not device.gone_until]
        if not done:
            return
        took = [device.ms for device in done]
        for device, ms, answer in zip(done, took, self.door.complete([device.attempt for device in done], took)):
            self.answers[answer] += 1
            if answer == "OK":
                if self.works.pop(device.attempt.id, None) is None:
                    self.twice.append(device.attempt.id)
                self.came.pop(device.attempt.id, None)
                self.useful_ms += ms
            device.attempt = None

    def submit(self, works):
        if not works:
            return
        for work, accepted in zip(works, self.door.submit([work.job for work in works])):
            if accepted:
                self.came[work.job.id], self.works[work.job.id] = self.now, work
                self.waiting += 1
                self.accepted += 1
            else:
                self.refused += 1

    def give(self):
        free = [device for device in self.devices if not device.attempt and not device.gone_until]
        asking = self.random.sample(free, min(len(free), self.waiting + self.unseen))
        if not asking:
            return
        given = [attempt for attempt in self.door.claim([device.name for device in asking], self.generation) if attempt]
        answers = self.door.start(given) if given else []
        assert set(answers) <= {"OK"}, answers
        for attempt in given:
            device, work = self.of[attempt.worker], self.works[attempt.id]
            device.attempt, device.ms, device.free_at = attempt, work.ms, self.now + work.ms
            if self.waiting > 0:
                self.waiting -= 1
            else:
                self.unseen -= 1
            self.starts.append(Start(self.now, self.now - self.came[attempt.id], work.job.tenant, work.job.klass, work.ms,
                                     attempt.worker))

    def beat(self):
        quiet = [device for device in self.devices if self.now - device.told_ms >= BEAT_MS and not device.gone_until]
        if quiet:
            self.door.beat([device.name for device in quiet], self.generation)
            for device in quiet:
                device.told_ms = self.now

    def vanish(self, every_s, for_s):
        """Each device goes every so many seconds in the mean, with what it has, and comes back as another life of its name."""
        back = [device for device in self.devices if device.gone_until and device.gone_until <= self.now]
        if back:
            self.generation.update(self.door.hello([device.name for device in back]))
        for device in back:
            device.gone_until, device.told_ms = 0, self.now
        chance = STEP_MS / (every_s * 1000)
        for device in self.devices:
            if not device.gone_until and self.random.random() < chance:
                device.gone_until = self.now + for_s * 1000 * self.random.uniform(0.5, 1.5)
                if device.attempt:
                    self.unseen, self.lost, device.attempt = self.unseen + 1, self.lost + 1, None

    def step(self, tenants, vanish=None):
        self.now += STEP_MS
        self.door.advance(STEP_MS)
        self.complete()
        if vanish:
            self.vanish(*vanish)
        if self.now % SWEEP_MS == 0:
            self.door.sweep()
            self.beat()
        self.submit([work for tenant in tenants for work in tenant.until(self.now)])
        self.give()
        there = sum(1 for device in self.devices if not device.gone_until)
        self.there_ms += there * STEP_MS
        self.busy_ms += sum(1 for device in self.devices if device.attempt and not device.gone_until) * STEP_MS

    def run(self, seconds, tenants, vanish=None):
        for _ in range(int(seconds * 1000 / STEP_MS)):
            self.step(tenants, vanish)
        return self

    def drain(self, seconds):
        """Nothing comes any more and nobody vanishes: until every accepted job has ended."""
        for _ in range(int(seconds * 1000 / STEP_MS)):
            if not self.works:
                return self
            self.step([])
        return self

    # -- what is looked at
    def waits(self, wanted=lambda start: True):
        return sorted(start.wait for start in self.starts if wanted(start))

    def served_ms(self, begin_ms, end_ms, of):
        """Device milliseconds between two moments, by of(start)."""
        total = collections.Counter()
        for start in self.starts:
            overlap = min(start.at + start.ms, end_ms) - max(start.at, begin_ms)
            if overlap > 0:
                total[of(start)] += overlap
        return total


def part(values, share):
    """The value that this share of all does not exceed."""
    assert values, "nothing was measured"
    return values[min(len(values) - 1, int(len(values) * share))]
