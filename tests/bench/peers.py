#!/usr/bin/env python3
"""peers.py - Stable Diffusion 1.5 at 512x512 in bf16, ours beside other programs, turn by turn.

    peers.py BUILD [--rounds 5] [--threads 2] [--peers openvino diffusers] [--also BUILD ...]

Everybody loads first and then waits; a round is one U-Net step, or one decode, of each. Other load on the machine meets all of
them alike, so what is printed are medians of ratios within a round: of wall time and of processor time, as `name value unit`.
With --threads 1 processor time says most; `also` sets another of our own builds beside.
"""
import argparse
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


class Turns:
    """A program that answers words with milliseconds."""

    def __init__(self, name, command):
        self.name = name
        environment = os.environ | {"GOMP_SPINCOUNT": "1000"}
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=environment)

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"peers: {self.name} ended")
        return line.split()

    def ready(self):
        while self.line() != ["ready"]:
            pass
        return self

    def take(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return [float(value) for value in self.line()]

    def close(self):
        self.process.stdin.close()
        peak = self.line()[1]
        self.process.wait()
        return float(peak)


def compare(programs, word, rounds):
    for program in programs:
        program.take(word)  # what is made once for a shape
    taken = {program: [] for program in programs}
    for turn in range(rounds):
        for program in programs if turn % 2 == 0 else programs[::-1]:
            taken[program].append(program.take(word))
    ours = taken[programs[0]]
    for program in programs:
        wall, processor = (statistics.median(times[k] for times in taken[program]) for k in (0, 1))
        print(f"{program.name}_sd15_{word}_wall {wall:.0f} ms")
        print(f"{program.name}_sd15_{word}_processor {processor:.0f} ms", flush=True)
    for program in programs[1:]:
        for k, clock in enumerate(("wall", "processor")):
            ratios = sorted(theirs[k] / own[k] for theirs, own in zip(taken[program], ours))
            print(f"{program.name}_over_ours_sd15_{word}_{clock} {statistics.median(ratios):.3f} x # {ratios[0]:.3f} to {ratios[-1]:.3f}",
                  flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--peers", nargs="*", default=["openvino", "diffusers"])
    parser.add_argument("--also", nargs="*", default=[], help="other builds of ours")
    parser.add_argument("--words", nargs="*", default=["step", "decode"])
    parser.add_argument("--python", default=os.environ.get("PEER_PYTHON", sys.executable))
    options = parser.parse_args()
    ours = [("darkroom", options.build)] + [(f"also{i}", build) for i, build in enumerate(options.also, 1)]
    programs = []
    for name, build in ours:
        programs.append(Turns(name, [f"{build}/tests/bench/bench_turns", options.threads]).ready())
    for peer in options.peers:
        programs.append(Turns(peer, [options.python, HERE / "peer_turns.py", peer, options.threads]).ready())
    for word in options.words:
        compare(programs, word, options.rounds)
    for program in programs:
        print(f"{program.name}_sd15_peak_rss {program.close():.0f} MiB")


if __name__ == "__main__":
    main()
