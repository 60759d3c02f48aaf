"""Write a dataset from a folder of pictures, one folder in it for each class; the line runs at once.

Reads   <folder>/<class>/*.png, *.jpg, *.jpeg; pictures of several sizes want `--size`, to which they are scaled
Writes  stages/datasets/<name>/__init__.py   the question, the classes, the size
        params/dataset/<name>.yaml           one line in params/config.yaml, and params.yaml
        sources/<name>.zip                   the pictures as they are, or scaled; beside the folder where they are many
        tests/data/<name>/                   some of them with planted faults; expected.yaml: what must become of them
"""

import argparse
import hashlib
import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from stages.records.pictures import FORMATS, MODES
from stages.workspace.errors import UserError, run_stage
from tools import params
from tools.new_dataset import CONTENTS, IN_GIT_BYTES, refuse_name, with_dataset

ENDS = (".png", ".jpg", ".jpeg")
SAMPLED, SAMPLE_BYTES = 12, 40_000  # pictures of each class in the sample, and bytes of all
Size = tuple[int, int, int]
Pictures = dict[str, bytes]
"""Contents by ``class/name``."""


def main(*arguments: str) -> None:
    """Write the dataset; see ``--help``."""
    options = parse(arguments)
    refuse_name(options.name)
    files = find_pictures(options.folder)
    size = options.size or only_size(files)
    pictures = {f"{path.parent.name}/{path.name}": scaled(path, size, given=options.size is not None) for path in files}
    content = packed(pictures)
    source = Path("sources", f"{options.name}.zip")
    if len(content) > IN_GIT_BYTES:
        source = options.folder.resolve().with_name(f"{options.name}.zip")
    for path, text in files_of(options.name, pictures, size, source, content).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
        print(f"wrote {path}")
    params.main()
    print(
        f"to run it:    dvc repro report@{options.name}\n"
        f"by pixels:    dvc exp run -S model@datasets.{options.name}.model=cnn report@{options.name}: `make networks`\n"
        f"to go over:   stages/datasets/{options.name}/__init__.py: the question, the names of the classes\n"
        f"to keep it:   git add --all, then commit"
    )


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.new_pictures", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("name", help="what it is to be called: a word in small letters")
    parser.add_argument("folder", type=Path, help="a folder with a folder of pictures for each class")
    parser.add_argument("--size", type=size_in, metavar="ROWSxCOLUMNSxCHANNELS", help="such as 32x32x3; 1 for grey")
    return parser.parse_args(arguments)


def size_in(text: str) -> Size:
    """The size that is written there."""
    found = re.fullmatch(r"(\d{1,4})x(\d{1,4})x([13])", text)
    if not found or not min(int(found[1]), int(found[2])) >= 7:
        raise argparse.ArgumentTypeError("such as 32x32x3: at least 7 rows and columns, 1 channel or 3")
    return int(found[1]), int(found[2]), int(found[3])


def find_pictures(folder: Path) -> list[Path]:
    """All pictures, in order of class and name."""
    found = sorted(path for path in folder.glob("*/*") if path.suffix.lower() in ENDS)
    classes = {path.parent.name for path in found}
    if len(classes) < 2:
        told = f"pictures in {', '.join(sorted(classes)) or 'none'}"
        raise UserError(
            f"at least two folders of pictures in {folder}", told, "put each class into a folder of its own"
        )
    return found


def only_size(files: Sequence[Path]) -> Size:
    """The size that all pictures have; those that cannot be opened are left for the quarantine."""
    sizes: Counter[Size] = Counter()
    for path in files:
        try:
            with Image.open(path, formats=FORMATS) as picture:
                sizes[picture.height, picture.width, 1 if picture.mode in ("1", "L", "LA") else 3] += 1
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            continue
    if len(sizes) != 1:
        told = ", ".join(f"{'x'.join(map(str, size))} ({n:,})" for size, n in sizes.most_common(5)) or "none to be read"
        raise UserError("pictures of one size", told, "SIZE=32x32x3 (rows, columns, channels) scales them all to it")
    return next(iter(sizes))


def scaled(path: Path, size: Size, *, given: bool) -> bytes:
    """The file as it is, or a PNG of the size that was asked for; one that cannot be opened stays as it is."""
    content = path.read_bytes()
    if not given:
        return content
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            drawn = picture.convert(MODES[size[2]]).resize((size[1], size[0]), Image.Resampling.LANCZOS)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return content
    out = io.BytesIO()
    drawn.save(out, "PNG")
    return out.getvalue()


def packed(pictures: Pictures) -> bytes:
    """A zip of them; the same pictures give the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(pictures):
            archive.writestr(zipfile.ZipInfo(name), pictures[name])
    return out.getvalue()


def files_of(name: str, pictures: Pictures, size: Size, source: Path, content: bytes) -> dict[Path, bytes]:
    """All that is written; the pictures too, unless they lie outside of the repository."""
    classes = sorted({each.partition("/")[0] for each in pictures})
    task = "multiclass" if len(classes) > 2 else "binary"
    sample, expected = plant(pictures, size, classes)
    texts = {
        Path("stages/datasets", name, "__init__.py"): module_text(name, len(pictures), classes, size, source.name),
        Path(f"params/dataset/{name}.yaml"): params_text(name, len(pictures), task, source, content),
        Path("tests/data", name, "expected.yaml"): expected,
        CONTENTS: with_dataset(CONTENTS.read_text(encoding="utf-8"), name),
    }
    written = {source: content, Path("tests/data", name, source.name): packed(sample)}
    return written | {path: text.encode() for path, text in texts.items()}


def module_text(name: str, n: int, classes: Sequence[str], size: Size, file: str) -> str:
    """The dataset as a value."""
    listed = "".join(f"    {json.dumps(each, ensure_ascii=False)},\n" for each in classes)
    return f'''"""{name}: what does a picture of {size[1]} × {size[0]} pixels show?

{n:,} pictures, as `make new-pictures` found them in a folder for each class.
"""

from stages.records.picture_dataset import picture_dataset
from stages.records.zipped_pictures import zipped_pictures

CLASSES = (
{listed})

DATASET = picture_dataset(
    __name__,
    "What does the picture show?",
    shape={size},
    classes=CLASSES,
    labels=CLASSES,
    table=zipped_pictures({json.dumps(file)}),
)
'''


def params_text(name: str, n: int, task: str, source: Path, content: bytes) -> str:
    """The parameters; a straight line on edges and tiles to begin with."""
    return f"""# {name}: {n:,} pictures, as `make new-pictures` wrote it.
defaults:
  - /model@model: linear
  - /evaluate@evaluate: {task}
  - /tune@tune: linear
  - /promote@promote: {task}
  - _self_

download:
  mirror: null
  attempts: 5
  timeout_s: 60.0
  sources:          # say where they come from, and under which licence
    - location: {json.dumps(source.as_posix(), ensure_ascii=False)}
      bytes: {len(content)}
      sha256: {hashlib.sha256(content).hexdigest()}

clean:
  sample: 1.0
  max_quarantined_share: 0.05
  max_missing_days: 0

featurize:
  split:            # shares of the pictures, by their pixels: copies stay together
    train: 0.6
    valid: 0.2

select_features:
  bins: 8
  max_null_share: 0.95    # above it a feature is near-empty
  max_association: 0.95   # Cramér's V from which the less relevant of two features goes
  min_relevance: 0.001    # share of the target's entropy that a feature must explain
  pair_rows: 20000
  resamples: ${{scale.resamples}}
"""


def plant(pictures: Pictures, size: Size, classes: Sequence[str]) -> tuple[Pictures, str]:
    """Some pictures of each class, then a file that is none and a picture of one colour; what must be said of those."""
    by_class = {each: [name for name in sorted(pictures) if name.startswith(f"{each}/")][:SAMPLED] for each in classes}
    sample = {name: pictures[name] for names in by_class.values() for name in names}
    last, out = classes[-1], io.BytesIO()
    Image.new(MODES[size[2]], (size[1], size[0])).save(out, "PNG")
    faults = {f"{last}/~black.png": out.getvalue(), f"{last}/~none.png": b"no picture"}
    while sum(map(len, sample.values())) > SAMPLE_BYTES and len(sample) > 2 * len(classes):
        sample = {name: sample[name] for name in sorted(sample)[::2]}
    spelt = f"parses as a PNG or JPEG file of {size[1]} by {size[0]} pixels as base64"
    expected = f"""# Some pictures, then the faults below.
split: {{train: 0.6, valid: 0.2}}
faults:                 # where: table, partition, row; failures: column, check, value
  - why: a picture of one colour
    where: [pictures, pictures-0000000, {len(sample)}]
    failures:
      - ["contrast", "greater_than(0)", "0.0"]
  - why: a file that is no picture
    where: [pictures, pictures-0000000, {len(sample) + 1}]
    failures:
      - ["picture", "{spelt}", "bm8gcGljdHVyZQ=="]
"""
    return sample | faults, expected


if __name__ == "__main__":
    run_stage(main)
