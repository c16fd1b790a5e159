"""The YAML files of conf/: how Hydra finds and reads them, and in which line a key was written."""
