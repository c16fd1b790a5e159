"""Stands in for azureml if azureml.core is not installed; other installed parts of azureml stay usable."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
