"""The model registry behind `amlcore:` addresses: a workspace's models, and those that a script wants registered."""

import os

from mlflow.entities import model_registry
from mlflow.exceptions import MlflowException
from mlflow.protos import databricks_pb2 as codes
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.model_registry.abstract_store import AbstractStore
from mlflow.utils.search_utils import SearchModelUtils, SearchModelVersionUtils, SearchUtils

from amlcore.worker.mlflow import running
from amlcore.worker.mlflow.entities import build
from amlcore.worker.mlflow.model_source import ModelSource
from amlcore.worker.mlflow.models import NAME, Requests, registered
from amlcore.worker.mlflow.not_implemented import answers_all, not_implemented
from amlcore.worker.mlflow.reading import root_of
from amlcore.worker.mlflow.run_writer import RunWriter

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401

    from amlcore.worker.mlflow.models import VersionFacts  # noqa: F401

MAX_RESULTS = 1000
STAGES = {"production": "Production", "staging": "Staging", "archived": "Archived"}
"""The stages that MLflow has given up for aliases: a version is in one while it has the alias."""


@answers_all
class RegistryStore(AbstractStore):
    """Reads the models of a workspace. Within a run what a script registers is noted, and registered after the run."""

    def __init__(self, store_uri):
        # type: (str) -> None
        super(RegistryStore, self).__init__(store_uri)
        root = root_of(store_uri)
        self._own = running.own_folder(root)
        self._root = root if self._own is None else os.path.dirname(os.path.dirname(os.path.dirname(self._own)))
        self.models = os.path.join(self._root, "models")
        self._announced = {}  # type: dict[str, dict[str, str]]  # models that have no version yet, and their tags

    # What is there

    def search_registered_models(self, filter_string=None, max_results=None, order_by=None, page_token=None):
        models = [self._model(name, versions) for name, versions in self._versions().items()]
        ordered = SearchModelUtils.sort(SearchModelUtils.filter(models, filter_string), order_by)
        return PagedList(*SearchUtils.paginate(ordered, page_token, max_results or MAX_RESULTS))

    def get_registered_model(self, name):
        versions = self._versions()
        if name not in versions:
            raise MlflowException("there is no model '{}'".format(name), codes.RESOURCE_DOES_NOT_EXIST)
        return self._model(name, versions[name])

    def get_latest_versions(self, name, stages=None):
        return self.get_registered_model(name).latest_versions

    def search_model_versions(self, filter_string=None, max_results=None, order_by=None, page_token=None):
        versions = [_version(facts) for all_of_one in self._versions().values() for facts in all_of_one]
        ordered = SearchModelVersionUtils.sort(SearchModelVersionUtils.filter(versions, filter_string), order_by)
        return PagedList(*SearchUtils.paginate(ordered, page_token, max_results or MAX_RESULTS))

    def get_model_version(self, name, version):
        return _version(self._facts(name, version))

    def get_model_version_download_uri(self, name, version):
        return self._facts(name, version).source

    def get_model_version_by_alias(self, name, alias):
        for facts in self._versions().get(name, []):
            if alias in facts.aliases:
                return _version(facts)
        raise MlflowException("model '{}' has no alias '{}'".format(name, alias), codes.INVALID_PARAMETER_VALUE)

    def _versions(self):
        # type: () -> dict[str, list[VersionFacts]]
        """All versions by name: those that are registered, and those that this script has asked for."""
        versions = registered(self.models)  # type: dict[str, list[VersionFacts]]
        requests = self._requests()
        for name in list(requests.names) + list(self._announced):
            versions.setdefault(name, [])
        for facts in requests.versions:
            versions.setdefault(facts.name, []).append(facts)
        return versions

    def _requests(self):
        # type: () -> Requests
        return Requests(self._own)

    def _facts(self, name, version):
        # type: (str, int | str) -> VersionFacts
        for facts in self._versions().get(name, []):
            if str(facts.version) == str(version):
                return facts
        message = "model '{}' has no version {}".format(name, version)
        raise MlflowException(message, codes.RESOURCE_DOES_NOT_EXIST)

    def _model(self, name, versions):
        # type: (str, list[VersionFacts]) -> typing.Any
        tags = dict(self._requests().names.get(name, {}), **self._announced.get(name, {}))
        return build(
            model_registry.RegisteredModel,
            name=name,
            creation_timestamp=versions[0].created_ms if versions else 0,
            last_updated_timestamp=versions[-1].created_ms if versions else 0,
            description=versions[-1].description if versions else "",
            latest_versions=[_version(facts) for facts in versions[-1:]],
            tags=[model_registry.RegisteredModelTag(key, value) for key, value in tags.items()],
            aliases=[
                model_registry.RegisteredModelAlias(alias, facts.version)
                for facts in versions
                for alias in facts.aliases
            ],
        )

    # What is asked for

    def create_registered_model(self, name, tags=None, description=None, *args, **kwargs):
        if not NAME.match(name):
            message = (
                "{!r} cannot be the name of a model: use letters, digits, '-', '_' and '.', and begin with a letter"
            )
            raise MlflowException(message.format(name), codes.INVALID_PARAMETER_VALUE)
        if name in self._versions():
            raise MlflowException("model '{}' exists already".format(name), codes.RESOURCE_ALREADY_EXISTS)
        by_key = {tag.key: tag.value for tag in tags or []}
        if self._own is None:
            self._announced[name] = by_key
        else:
            RunWriter(self._own).note("registered_model", name=name, tags=by_key)
        return self.get_registered_model(name)

    def create_model_version(
        self,
        name,
        source,
        run_id=None,
        tags=None,
        run_link=None,
        description=None,
        local_model_path=None,
        model_id=None,
        **kwargs,
    ):
        model = ModelSource(self._root, source, model_id)
        by_key = {tag.key: tag.value for tag in tags or []}
        if self._own is None:
            return self._facts_of_new(name, model, description or "", by_key)
        version = 1 + max((facts.version for facts in self._versions().get(name, [])), default=0)
        RunWriter(self._own).note(
            "registration",
            name=name,
            version=version,
            source=model.uri,
            run=model.run,
            path=model.path,
            model_id=model_id,
            description=description or "",
            tags=by_key,
        )
        return self.get_model_version(name, version)

    def _facts_of_new(self, name, model, description, tags):
        # type: (str, ModelSource, str, dict[str, str]) -> typing.Any
        version = self.register(name, model, description, tags)
        return self.get_model_version(name, version)

    def register(self, name, model, description, tags):
        # type: (str, ModelSource, str, dict[str, str]) -> int
        """Register a model outside of a run; returns the version. Only amlcore itself can do that."""
        message = "amlcore is not installed in this interpreter; use: aml register {} --name {} --path {}"
        raise not_implemented(message.format(model.run, name, model.path))

    def move_alias(self, name, alias, version):
        # type: (str, str, int | None) -> None
        """Let an alias of a registered model mean `version`, or nothing; only amlcore itself can do that."""
        raise not_implemented(
            "amlcore is not installed in this interpreter, so use: aml alias {}@{}".format(name, alias)
        )

    def update_model_version(self, name, version, description=None):
        self._change(name, version, description=description or "")
        return self.get_model_version(name, version)

    def set_model_version_tag(self, name, version, tag):
        self._change(name, version, tags={tag.key: tag.value})

    def set_registered_model_alias(self, name, alias, version):
        if self._own is None:
            self.move_alias(name, alias, int(version))
        else:
            self._change(name, version, alias=alias)

    def delete_registered_model_alias(self, name, alias):
        if self._own is None:
            self.move_alias(name, alias, None)
        else:
            self._change(name, 0, alias=alias)

    def transition_model_version_stage(self, name, version, stage, archive_existing_versions=False):
        if stage.lower() in STAGES:
            self.set_registered_model_alias(name, stage.lower(), version)
        return self.get_model_version(name, version)

    def set_registered_model_tag(self, name, tag):
        if self._own is None:
            raise not_implemented("amlcore keeps tags with the versions of a model: set a tag of the version")
        RunWriter(self._own).note("registered_model", name=name, tags={tag.key: tag.value})

    def update_registered_model(self, name, description, *args, **kwargs):
        versions = self._versions().get(name)
        if not versions:
            raise not_implemented(
                "amlcore keeps descriptions with the versions of a model, and '{}' has none".format(name)
            )
        self._change(name, versions[-1].version, description=description)
        return self.get_registered_model(name)

    def _await_model_version_creation(self, mv, await_creation_for):
        """A version that is asked for is registered once the run has completed: there is nothing to wait for."""

    def _change(self, name, version, **changes):
        # type: (str, int | str, object) -> None
        """Note a change of a version that this script has asked for."""
        if self._own is None:
            raise not_implemented("a registered version of a model is not changed; `aml alias` moves its aliases")
        RunWriter(self._own).note("registration_change", name=name, version=int(version), **changes)


def _version(facts):
    # type: (VersionFacts) -> typing.Any
    return build(
        model_registry.ModelVersion,
        name=facts.name,
        version=facts.version,
        creation_timestamp=facts.created_ms,
        last_updated_timestamp=facts.created_ms,
        description=facts.description,
        user_id=facts.user,
        current_stage=next((STAGES[alias] for alias in facts.aliases if alias in STAGES), "None"),
        source=facts.source,
        run_id=facts.run,
        status="READY",
        tags=[model_registry.ModelVersionTag(key, value) for key, value in facts.tags.items()],
        aliases=list(facts.aliases),
        model_id=facts.model_id,
    )
