"""Draws what the simulated fleet does, with gnuplot, into docs/: make plots.

    plot.py FOLDER [SEED]
"""
import pathlib
import subprocess
import sys

import scenarios
from house import Redis
from simulator import BULK, INTERACTIVE

HEAD = """set terminal svg size 640,300 noenhanced font "sans,11" background "white"
set output "{out}"
set grid
set key {key}
set xlabel "seconds"
set xrange [0:{seconds}]
"""


def draw(out, rows, commands, key="top right"):
    """rows: one line a point, the first column seconds."""
    data = "$data << END\n" + "\n".join(" ".join(f"{value:.6g}" for value in row) for row in rows) + "\nEND\n"
    script = HEAD.format(out=out, key=key, seconds=int(rows[-1][0]) + 1) + data + commands
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def part_of(fleet, begin, of, one, window=10):
    served = fleet.served_ms((begin - window) * 1000, begin * 1000, of)
    return 100 * served[one] / max(1, sum(served.values()))


def tenants(client, folder, seed):
    """Small jobs of one and large jobs of the other, with the queue told of both, and of one."""
    fair = scenarios.backlogged(client, seed)["fleet"]
    blind = scenarios.backlogged(client, seed, as_one=True)["fleet"]
    rows = [(t, part_of(fair, t, lambda start: start.tenant, "small"), part_of(blind, t, lambda start: start.tenant, "small"))
            for t in range(10, 71, 2)]
    draw(folder / "shares-tenants.svg", rows, """set yrange [0:100]
set ylabel "% of device time, last 10 s"
plot $data using 1:2 with lines lw 2 title "small jobs, a tenant of their own", \\
     $data using 1:3 with lines lw 2 dt 2 title "small jobs, under one name with the large"
""", "bottom right")


def people(client, folder, seed):
    """An interactive job each ten seconds, one device, bulk without end."""
    rows = [(at / 1000, wait / 1000) for at, wait in scenarios.people_and_bulk(client, seed)["waits"]]
    draw(folder / "shares-people.svg", rows, """set ylabel "seconds waited"
set yrange [0:*]
plot $data using 1:2 with points pt 7 ps 0.5 title "interactive, beside bulk without end; a job takes 1 s"
""", "top left")


def classes(client, folder, seed):
    """People want three times what there is."""
    fleet = scenarios.people_and_bulk(client, seed, people=3.0, bulk=0.5, seconds=300, regular=False, devices=4)["fleet"]
    rows = [(t, part_of(fleet, t, lambda start: start.klass, INTERACTIVE), part_of(fleet, t, lambda start: start.klass, BULK))
            for t in range(10, 301, 5)]
    draw(folder / "shares-classes.svg", rows, """set yrange [0:100]
set ylabel "% of device time, last 10 s"
plot $data using 1:2 with lines lw 2 title "interactive, three times too much of it", \\
     $data using 1:3 with lines lw 2 title "bulk"
""", "center right")


def main():
    folder, seed = pathlib.Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    server = Redis(appendonly="no")
    try:
        for picture in (tenants, people, classes):
            picture(server.client, folder, seed)
    finally:
        server.stop()


main()
