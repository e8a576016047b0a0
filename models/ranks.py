"""Several single-threaded processes that train one model together by averaging gradients.

On CPUs two processes of one thread each are much faster than one process of two threads.
"""
import os

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from nets import seed_all

launcher = 0    # process that started the ranks


def add_options(parser, port):
    """Options that all training scripts share."""
    parser.add_argument("--work", default=".work/train")
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--ranks", type=int, default=1, help="processes that share the work (cpu)")
    parser.add_argument("--core", type=int, default=-1, help="pin to this core and up; -1: do not pin")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, default=port)


def setup(rank, a):
    """Threads, pinning, process group and seed of one rank."""
    global launcher
    launcher = os.getppid()
    if a.device == "cpu":
        torch.set_num_threads(1)
        if a.core >= 0:
            os.sched_setaffinity(0, {a.core + rank})
    if a.ranks > 1:
        dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{a.port}", rank=rank, world_size=a.ranks)
    seed_all(a.seed)


def average_gradients(params, ranks):
    """Mean gradient over all ranks, in one message."""
    if ranks == 1:
        return
    flat = torch.cat([p.grad.view(-1) for p in params])
    dist.all_reduce(flat)
    flat /= ranks
    at = 0
    for p in params:
        p.grad.copy_(flat[at:at + p.numel()].view_as(p))
        at += p.numel()


def any_rank(flag, ranks):
    """True when it is true for any rank, or the launcher was ended, so that all stop at the same step."""
    if ranks == 1:
        return flag
    stop = torch.tensor([float(flag or os.getppid() != launcher)])
    dist.all_reduce(stop, dist.ReduceOp.MAX)
    return stop.item() > 0


def launch(train, a):
    """Runs train(rank, a) in a.ranks processes."""
    if a.ranks == 1:
        train(0, a)
    else:
        mp.spawn(train, (a,), a.ranks)
