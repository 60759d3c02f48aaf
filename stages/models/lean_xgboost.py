"""XGBoost, imported without scikit-learn, whose interface nothing here uses: a quarter of the processor time to start.

XGBoost imports scikit-learn wherever it finds it, and with it pandas and most of SciPy: 2.1 CPU seconds instead of 0.5,
in every stage that opens a model.
"""

import sys

if is_hidden := "sklearn" not in sys.modules:
    sys.modules["sklearn"] = None  # type: ignore[assignment]  # Python's way to say that there is none
try:
    import xgboost as xgb
finally:
    if is_hidden:
        del sys.modules["sklearn"]

__all__ = ["xgb"]
