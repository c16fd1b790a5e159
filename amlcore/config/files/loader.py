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
    """Hydra's loader of configurations, of Hydra 1.3 and 1.4."""

    def parse_overrides(self, config_name: str | None, overrides: list[str], alias_start: int = 0) -> list[Override]:  # noqa: ARG002
        """Hydra 1.4 parses once and hands the result on; its aliases for overrides are left out."""
        return parser().parse_overrides(overrides)

    def _parse_overrides_and_create_caching_repo(
        self, config_name: str | None, overrides: list[str], parsed_overrides: list[Override] | None = None
    ) -> tuple[list[Override], CachingConfigRepository]:
        parsed = parser().parse_overrides(overrides) if parsed_overrides is None else parsed_overrides
        repository = CachingConfigRepository(self.repository)
        self._process_config_searchpath(config_name, parsed, repository)
        return parsed, repository

    def _load_configuration_impl(
        self, config_name: str | None, overrides: list[str], *args: Any, **options: Any
    ) -> DictConfig:
        """As Hydra's; a name with dots is deleted here, since Hydra splits it at the dots."""
        parsed = options.get("parsed_overrides")
        deletions = [item for item in overrides if item.startswith("~")]
        deleted = [item for item in parsed or parser().parse_overrides(deletions) if _deletes_dotted_name(item)]
        lines = [item.input_line for item in deleted]
        if parsed is not None:
            options["parsed_overrides"] = [item for item in parsed if item.input_line not in lines]
        rest = [item for item in overrides if item not in lines]
        config: DictConfig = super()._load_configuration_impl(config_name, rest, *args, **options)
        for item in deleted:
            mapping, _, name = item.key_or_group.removesuffix("]").partition("[")
            node = OmegaConf.select(config, mapping)
            if not isinstance(node, DictConfig) or name not in node:
                raise ConfigCompositionException(f"Could not delete from config. '{key_of(item)}' does not exist.")
            with open_dict(node):
                del node[name]
        return config


def _deletes_dotted_name(override: Override) -> bool:
    return override.is_delete() and "[" in override.key_or_group
