"""A bare FastAPI application on XGBoost, as one writes it in an afternoon: one row in, a probability and a class out.

What `stages.serve` is measured against.  Types are checked by pydantic; nothing is counted, logged, limited or swapped.

    python benchmarks/peer_fastapi.py BUNDLE PORT
"""

import json
import sys
from pathlib import Path

import numpy as np
import uvicorn
import xgboost as xgb
from fastapi import FastAPI
from pydantic import create_model

bundle = Path(sys.argv[1])
signature = json.loads((bundle / "signature.json").read_text())
booster = xgb.Booster(model_file=bundle / "model.ubj")
booster.set_param({"nthread": 1})
codes = {each["name"]: {name: k for k, name in enumerate(each["categories"])}
         for each in signature["inputs"] if each["kind"] == "categorical"}  # fmt: skip
Row = create_model("Row", **{  # type: ignore[call-overload]
    each["name"]: (str | None if each["name"] in codes else float | None, None) for each in signature["inputs"]
})  # fmt: skip
app = FastAPI()


@app.post("/predict")
async def predict(row: Row) -> dict[str, float | str]:  # type: ignore[valid-type]
    values = row.model_dump()  # type: ignore[attr-defined]
    numbers = [codes[name].get(value, np.nan) if name in codes else value for name, value in values.items()]
    score = float(booster.inplace_predict(np.array([numbers], dtype=np.float32))[0])
    return {"probability": score, "decision": signature["classes"][int(score >= signature["threshold"])]}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[2]), log_level="warning")
