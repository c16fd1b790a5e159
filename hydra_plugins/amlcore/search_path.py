"""A project's own conf/ before the shipped one."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin


class ProjectSearchPath(SearchPathPlugin):
    """Acts only where the program's main config path is the one that amlcore ships."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        main = [entry.path for entry in search_path.get_path() if entry.provider == "main"]
        if any(path.endswith("/amlcore/conf") for path in main):
            from amlcore.config.session import add_project_conf

            add_project_conf(search_path)
