import os
import sys

print(repr(sys.stdin.read()), sys.stdin.isatty(), sys.stdout.isatty())
try:
    answer = input("continue? ")
except EOFError:
    answer = "nobody answered"
print(answer)
sys.stdout.flush()
os.system("echo from a shell; cat")
os.write(1, b"raw bytes\n")
