"""The Loader: Hydra's, which reads overrides as they were written."""

from __future__ import annotations

from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig, OmegaConf, open_dict

from amlcore.config.grammar.override_parser import key_of, parser


class Loader(ConfigLoaderImpl):
    """Hydra's loader of configurations."""

    def _parse_overrides_and_create_caching_repo(
        self, config_name: str | None, overrides: list[str]
    ) -> tuple[list[Override], CachingConfigRepository]:
        parsed = parser().parse_overrides(overrides)
        repository = CachingConfigRepository(self.repository)
        self._process_config_searchpath(config_name, parsed, repository)
        return parsed, repository

    def _load_configuration_impl(
        self, config_name: str | None, overrides: list[str], *args: Any, **options: Any
    ) -> DictConfig:
        """As Hydra's; what is deleted under a name with dots in it is deleted here, since Hydra splits it."""
        parsed = parser().parse_overrides([item for item in overrides if item.startswith("~")])
        deleted = [item for item in parsed if "[" in item.key_or_group]
        rest = [item for item in overrides if item not in [one.input_line for one in deleted]]
        config: DictConfig = super()._load_configuration_impl(config_name, rest, *args, **options)
        for item in deleted:
            mapping, _, name = item.key_or_group.removesuffix("]").partition("[")
            node = OmegaConf.select(config, mapping)
            if not isinstance(node, DictConfig) or name not in node:
                raise ConfigCompositionException(f"Could not delete from config. '{key_of(item)}' does not exist.")
            with open_dict(node):
                del node[name]
        return config
