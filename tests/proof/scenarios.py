"""What is asked of the simulated fleet, each a function that builds a situation and gives the numbers that test_20_shares.py,
the storm and the plots look at. `scale` multiplies devices and load alike."""
from simulator import BULK, INTERACTIVE, STANDARD, Simulator, Tenant, part

WINDOW_S = 60


def under_one_name(fleet):
    """The queue is told of one tenant only: what a fleet without fairness would do, for checks that must be able to fail."""
    submit = fleet.door.submit
    fleet.door.submit = lambda jobs: submit([job._replace(tenant="one") for job in jobs])


def backlogged(client, seed, scale=1, told=1.0, as_one=False, seconds=70):
    """Two equal tenants who always have jobs waiting, one small and many, one large and few: the least and the largest part that
    one had of both, in windows of 60 s. told: how far what the queue is told of the large ones is from what they take. as_one:
    both under one name, as if there were no tenants."""
    devices = 20 * scale
    small = Tenant("small", rate=devices * 1.2, ms=500, seed=seed)
    large = Tenant("large", rate=devices * (0.4 if as_one else 0.12), ms=5000, seed=seed, told=told)
    fleet = Simulator(client, devices, seed)
    if as_one:
        under_one_name(fleet)
    fleet.run(seconds, [small, large])
    parts = []
    for begin in range(10, seconds - WINDOW_S + 1, 10):
        served = fleet.served_ms(begin * 1000, (begin + WINDOW_S) * 1000, lambda start: start.tenant)
        parts.append(served["small"] / (served["small"] + served["large"]))
    return {"least": min(parts), "largest": max(parts), "fleet": fleet}


def flooded(client, seed, times, scale=1, seconds=90, as_one=False):
    """Nine tenants in bursts at four fifths of their share, and one at `times` its quota, which is what they leave it: the p99 of
    the nine's waits in ms."""
    devices = 20 * scale
    share = devices / 10  # jobs of a second
    others = [Tenant(f"t{n}", rate=share * 0.8, peak=2.0, on_s=4, seed=seed) for n in range(9)]
    flood = Tenant("flood", rate=share * 2.8 * times, seed=seed)
    fleet = Simulator(client, devices, seed)
    if as_one:
        under_one_name(fleet)
    fleet.run(seconds, [*others, flood])
    waits = fleet.waits(lambda start: start.tenant != "flood" and start.at > 20000)
    return {"p99": part(waits, 0.99), "p50": part(waits, 0.5), "fleet": fleet}


def people_and_bulk(client, seed, people=0.1, standard=0.0, bulk=5.0, devices=1, seconds=300, regular=True):
    """Jobs of one tenant and each class, of one second, so many times what the devices can do: the longest wait of an interactive
    one in ms, and the part of the device time that bulk had after the first 20 s."""
    tenants = [Tenant("house", rate=people * devices, spread=0, klass=INTERACTIVE, seed=seed, regular=regular),
               Tenant("house", rate=standard * devices, spread=0, klass=STANDARD, seed=seed),
               Tenant("house", rate=bulk * devices, spread=0, klass=BULK, seed=seed)]
    fleet = Simulator(client, devices, seed).run(seconds, tenants)
    waits = [(start.at, start.wait) for start in fleet.starts if start.klass == INTERACTIVE]
    unserved = [fleet.now - came for job, came in fleet.came.items() if fleet.works[job].job.klass == INTERACTIVE and
                job not in {device.attempt.id for device in fleet.devices if device.attempt}]
    served = fleet.served_ms(20000, seconds * 1000, lambda start: start.klass)
    return {"longest": max([wait for _, wait in waits] + unserved), "bulk": served[BULK] / sum(served.values()), "waits": waits,
            "fleet": fleet}


def overload(client, seed, scale=1, times=10, seconds=60, vanish=None):
    """Tenants of all classes offer `times` what the devices can do: the part of the devices' time that went into jobs which
    ended well."""
    devices = 20 * scale
    each = devices * times / 10
    tenants = [Tenant(f"t{n}", rate=each, klass=(STANDARD, BULK, INTERACTIVE)[n % 3], peak=3.0, on_s=5, seed=seed)
               for n in range(10)]
    fleet = Simulator(client, devices, seed).run(seconds, tenants, vanish)
    under_way = sum(fleet.now - (device.free_at - device.ms) for device in fleet.devices if device.attempt)
    return {"busy": fleet.busy_ms / fleet.there_ms, "useful": (fleet.useful_ms + under_way) / fleet.there_ms, "fleet": fleet}


def vanishing(client, seed, scale=1, jobs_s=0.7, seconds=120):
    """Devices vanish with their jobs and come back: every accepted job must end once."""
    devices = 20 * scale
    tenants = [Tenant(f"t{n}", rate=devices * jobs_s / 5, klass=n % 3, seed=seed, peak=2.0, on_s=5) for n in range(5)]
    fleet = Simulator(client, devices, seed).run(seconds, tenants, vanish=(60, 20)).drain(300)
    return {"fleet": fleet, "lost": fleet.lost, "accepted": fleet.accepted, "twice": fleet.twice, "never": list(fleet.works),
            "audit": fleet.door.audit()}


def million(client, seed, devices, jobs, tenants=1000):
    """As many jobs of as many tenants, of every class, in bursts, a tenth less than the devices can do, while devices vanish."""
    each = devices * 0.9 / tenants
    crowd = [Tenant(f"t{n}", rate=each, klass=n % 3, peak=4.0, on_s=10, seed=seed) for n in range(tenants)]
    fleet = Simulator(client, devices, seed, kept=100000)
    while fleet.accepted < jobs:
        fleet.run(10, crowd, vanish=(600, 30))
    return {"fleet": fleet.drain(900), "lost": fleet.lost, "accepted": fleet.accepted, "twice": fleet.twice,
            "never": list(fleet.works), "audit": fleet.door.audit(), "busy": fleet.busy_ms / fleet.there_ms}
