"""The main job from end to end on the iris data: `make run`."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from amlcore.serving.bento import find_bento

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
ROW = [5.1, 3.5, 1.4, 0.2]
START_S = 90.0


def main() -> None:
    os.chdir(ROOT)
    subprocess.run([BIN / "aml", "run", "experiment=iris"], check=True)
    bento = find_bento("sklearn-iris:latest")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([BIN / "aml", "serve", bento.tag, "--port", str(port)], start_new_session=True)
    try:
        _wait_until_ready(server, f"http://127.0.0.1:{port}/readyz")
        answer = _post(f"http://127.0.0.1:{port}/predict", {"data": [ROW]})
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()
    print(f'\nPOST /predict {{"data": [{ROW}]}}\n{json.dumps(answer)}')
    print("\nWhat you may type next:")
    print("  .venv/bin/aml run script=train_iris script.arguments.kernel=rbf model.name=sklearn-iris")
    print("  .venv/bin/aml runs --sort Accuracy")
    print(f"  .venv/bin/aml serve {bento.name}")


def _wait_until_ready(server: subprocess.Popen[bytes], url: str) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if server.poll() is not None:
            sys.exit(f"the service ended with status {server.returncode} before it was ready")
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.2)
    sys.exit(f"the service was not ready within {START_S:.0f} s")


def _post(url: str, body: Any) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


if __name__ == "__main__":
    main()
