import os, csv
from pathlib import Path

os.makedirs("outputs/nested", exist_ok=True)
with open("outputs/table.csv", "w") as f:
    w = csv.writer(f)
    w.writerow(["step", "loss"])
    for i in range(3):
        w.writerow([i, 1 / (i + 1)])
left_open = open("outputs/nested/never_closed.txt", "w")
left_open.write("still in the buffer")


class Holder:
    def __del__(self):
        print("bye from", self.__class__.__name__, os.path.exists("outputs/table.csv"))


holder = Holder()


def use():
    return holder


import atexit
import tempfile

scratch = tempfile.TemporaryDirectory()
atexit.register(lambda: print("at exit", os.path.isdir(scratch.name)))
print(sorted(p.name for p in Path("outputs").iterdir()))
print(sum(1 for _ in open("outputs/table.csv")))
