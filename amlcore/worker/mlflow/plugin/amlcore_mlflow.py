"""What the entry points in this folder name: MLflow loads it at `import mlflow`, so it imports nothing by itself.

It must also work where a script starts another interpreter that has MLflow but no amlcore.
"""

import os
import sys


def tracking_store(store_uri=None, artifact_uri=None):
    return _stores().tracking_store(store_uri, artifact_uri)


def registry_store(store_uri=None, tracking_uri=None):
    return _stores().registry_store(store_uri, tracking_uri)


def artifact_repository(artifact_uri, *args, **kwargs):
    return _stores().artifact_repository(artifact_uri, *args, **kwargs)


def _stores():
    try:
        import amlcore.worker.mlflow as stores
    except ImportError:
        worker = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
        sys.path.append(os.path.join(worker, "standins", "amlcore"))
        sys.modules.pop("amlcore", None)
        import amlcore.worker.mlflow as stores
    return stores
