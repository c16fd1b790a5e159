"""Stands in for azureml where azureml.core is not installed; other parts of azureml that are installed stay usable."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
