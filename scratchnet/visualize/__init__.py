"""Pictures: functions that return matplotlib figures. Importing this draws nothing yet.

Figures are made without pyplot, so no window and no display is needed; `figure.savefig(path)`
writes one. What a figure shows is computed by a function of its own in the same module, which gives
arrays: visualize.saliency.saliency for visualize.saliency_figure, and so on.
"""
import importlib
from typing import Any

# What there is, and where; a module is loaded when something of it is asked for.
_PLACES = {
    "architecture": ("draw",),
    "class_image": ("class_images_figure",),
    "deconvnet": ("deconvnet_figure", "descend", "reconstruct", "strongest"),
    "features": ("feature_maps", "filter_sheet", "filters", "map_sheet", "towers_figure"),
    "gradcam": ("cam", "gradcam_figure"),
    "gradients": ("flow_figure", "gradient_flow", "history_figure", "ridge_figure"),
    "occlusion": ("occlusion_figure",),
    "receptive_field": ("effective_field", "receptive_field_figure", "theoretical_field"),
    "results": ("confusion", "learning_curves"),
    "rows": ("image_rows",),
    "saliency": ("saliency_figure",),
    "sheet": ("image_sheet",),
}
_MODULE_OF = {name: module for module, names in _PLACES.items() for name in names}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name, name if name in _PLACES else None)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    loaded = importlib.import_module(f"{__name__}.{module}")
    return loaded if module == name else getattr(loaded, name)


def __dir__() -> list[str]:
    return [*__all__, *_PLACES]
