"""How pandas is told to read floats from text to the last bit, which it does by itself from version 3 on."""

from typing import Any

import pandas as pd

EXACTLY: dict[str, Any] = {} if int(pd.__version__.partition(".")[0]) >= 3 else {"float_precision": "round_trip"}
