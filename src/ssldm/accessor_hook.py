"""`forecast.ssldm` as soon as xarray is there, whose import takes longer than all of `ssldm --help`."""

from importlib import import_module

from wrapt import register_post_import_hook

register_post_import_hook(lambda _: import_module("ssldm.products.accessor"), "xarray")
