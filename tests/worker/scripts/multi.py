import multiprocessing as mp
import os
from dataclasses import dataclass


@dataclass
class Point:
    x: int
    y: int = 1


def work(point):
    return Point(point.x + 1, point.y + 1)


def in_main(path):
    return __name__, os.path.basename(__file__)


if __name__ == "__main__":
    points = [Point(i) for i in range(3)]
    for method in ("fork", "spawn", "forkserver"):
        with mp.get_context(method).Pool(2) as pool:
            print(method, pool.map(work, points), pool.map(in_main, [0]))
    queue = mp.get_context("fork").Queue()
    process = mp.get_context("fork").Process(target=lambda: queue.put(os.getpid() != os.getppid()))
    process.start()
    print(queue.get())
    process.join()
    print(process.exitcode)
