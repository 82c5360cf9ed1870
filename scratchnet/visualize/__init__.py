"""Pictures: functions that return matplotlib figures. Importing this draws nothing yet.

Figures are made without pyplot, so no window and no display is needed; `figure.savefig(path)`
writes one.
"""
from scratchnet.visualize.features import feature_maps, filters
from scratchnet.visualize.results import confusion, learning_curves
from scratchnet.visualize.rows import image_rows
from scratchnet.visualize.sheet import image_sheet

__all__ = ["confusion", "feature_maps", "filters", "image_rows", "image_sheet", "learning_curves"]
