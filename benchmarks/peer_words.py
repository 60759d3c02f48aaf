"""The same topics by scikit-learn alone: TF-IDF and a linear support vector machine on the texts of a feature folder.

Nothing of the line is imported.  FEATURES is `data/features/<dataset>`; prints seconds and accuracy as JSON.  With
`--repeat 10` every document is there ten times: that measures cost, and tells nothing of accuracy.

    python benchmarks/peer_words.py data/features/descriptions --text text --target topic
"""

import argparse
import json
import time
from pathlib import Path

import polars as pl
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("features", type=Path)
    parser.add_argument("--text", required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--repeat", type=int, default=1)
    options = parser.parse_args()
    rows = pl.read_parquet(options.features / "*.parquet").filter(pl.col(options.target).is_not_null())
    parts = {part: rows.filter(pl.col("part") == part) for part in ("train", "test")}
    train = pl.concat([parts["train"]] * options.repeat)
    started = time.perf_counter()
    terms = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2 * options.repeat, max_df=0.3)
    matrix = terms.fit_transform(train[options.text])
    machine = LinearSVC(C=0.5, class_weight="balanced", random_state=0).fit(matrix, train[options.target])
    fitted = time.perf_counter()
    found = machine.predict(terms.transform(parts["test"][options.text]))
    told = {
        "documents": len(train), "terms": matrix.shape[1], "fit_s": round(fitted - started, 2),
        "score_s": round(time.perf_counter() - fitted, 2), "repeat": options.repeat,
        "accuracy": round(float((found == parts["test"][options.target].to_numpy()).mean()), 6),
    }  # fmt: skip
    print(json.dumps(told))


if __name__ == "__main__":
    main()
