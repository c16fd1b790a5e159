import sys
import threading
import time


def late():
    time.sleep(0.2)
    print("thread after main")


threading.Thread(target=late).start()
what = sys.argv[1]
print("leaving by", what)
if what == "text":
    sys.exit("cannot go on")
if what == "raise":
    raise ValueError("wrong value")
if what == "float":
    sys.exit(1.5)
if what == "interrupt":
    raise KeyboardInterrupt
if what == "hook":
    sys.excepthook = lambda *error: print("hooked", error[0].__name__)
    raise RuntimeError
sys.exit(int(what))
