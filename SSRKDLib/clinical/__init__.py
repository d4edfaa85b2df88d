"""Clinical measures of the knee: slopes, widths, angles and patellar height, with landmarks."""

from SSRKDLib.clinical.comparison import compare_measures
from SSRKDLib.clinical.measures import Measure, measure

__all__ = ["Measure", "compare_measures", "measure"]
