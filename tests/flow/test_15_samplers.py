"""Every sampler that --sampler offers, with every noise schedule that goes with it, through a real fleet."""
import json
import re

from PIL import Image


def offered(fleet):
    """What --help says: the samplers, the schedules' endings, and the samplers that take them."""
    text = fleet.client("generate", "--help").stdout
    one_of, endings, takers = re.search(r"one of (.*?); with (.*?) behind it: (.*)", text).groups()
    return one_of.split(), endings.split(), takers.split()


def names(fleet):
    samplers, endings, takers = offered(fleet)
    assert len(samplers) == len(set(samplers)) >= 13 and set(takers) <= set(samplers)
    return samplers + [sampler + ending for sampler in takers for ending in endings]


def test_every_sampler_draws_a_picture_of_its_own(fleet):
    fleet.broker()
    fleet.worker()
    jobs = {name: fleet.submit(steps=4, seed=3, sampler=name) for name in names(fleet)}
    pictures = {}
    for name, job in jobs.items():
        record = fleet.wait(job)
        picture = fleet.picture(record["images"][0])
        assert picture not in pictures.values(), name
        pictures[name] = picture


def test_a_picture_says_its_sampler(fleet):
    fleet.broker()
    fleet.worker()
    shown = {"pndm": "PLMS, CFG", "heun": "Heun, CFG", "unipc_beta": "UniPC, Schedule type: Beta, CFG",
             "dpmpp_2m_sde_exponential": "DPM++ 2M SDE, Schedule type: Exponential, CFG", "dpmpp_sde": "DPM++ SDE, CFG"}
    for name, words in shown.items():
        target = fleet.folder / f"{name}.png"
        done = fleet.client("generate", "a lake", "--sampler", name, "--steps", 2, "-o", target)
        assert done.returncode == 0, done.stderr
        text = Image.open(target).text
        assert f"Steps: 2, Sampler: {words}" in text["parameters"]
        assert json.loads(text["darkroom"])["parameters"]["sampler"] == name


def test_a_sampler_with_fresh_noise_draws_the_same_again(fleet):
    fleet.broker()
    fleet.worker()
    for name in ("euler_a", "ddpm", "dpmpp_2m_sde", "dpmpp_sde", "lcm"):
        once, again, other = (fleet.picture(fleet.wait(fleet.submit(steps=3, seed=seed, sampler=name))["images"][0])
                              for seed in (8, 8, 9))
        assert once == again != other, name


def test_what_a_sampler_does_not_take_is_refused_by_name(fleet):
    fleet.broker()
    fleet.worker()
    done = fleet.client("generate", "a lake", "--sampler", "lcm_karras", "-o", fleet.folder / "no.png")
    assert done.returncode != 0 and "lcm_karras" in done.stderr
    done = fleet.client("generate", "a lake", "--sampler", "lcm", "--steps", 60, "-o", fleet.folder / "no.png")
    assert done.returncode != 0 and "50" in done.stderr and "steps" in done.stderr
