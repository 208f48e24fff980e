"""Sequences in one long CSV file, and in a folder with a file for each."""

import csv
import gzip
import io
import json
import os
from datetime import date
from functools import partial

import jax
import numpy as np
import pandas as pd
import pytest

from tests.support.forms import INPUTS, LENGTHS, outcome, same
from tests.support.runs import ROOT, run_command
from train.config.settings import Model
from train.config.tasks import Classification, Series
from train.engine import measure
from train.model import init_model
from train.readers.sequences import read_labelled, read_sequences
from train.tasks import find_task

RNG = np.random.default_rng(0)

LONG = [
    ("id", "t", "x", "y", "label"),
    *((f"s{k}", t, *(f"{v:g}" for v in row), "abc"[k % 3])
      for k, n in enumerate(LENGTHS) for t, row in enumerate(INPUTS[k, :n, :2])),
]  # fmt: skip


def write_csv(path, rows, delimiter=","):
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_one_long_csv(tmp_path, delimiter):
    """The sequences of `pandas.DataFrame.groupby`, also where the rows of ids alternate."""
    pandas = pytest.importorskip("pandas")
    head, *rows = LONG
    rows = sorted(rows, key=lambda row: row[1])  # by time
    rows[3] = (*rows[3][:2], "NA", *rows[3][3:])
    path = write_csv(tmp_path / "a.csv", [head, *rows], delimiter)
    found = read_labelled(path, None, Series(time="t"))
    table = pandas.read_csv(path, sep=delimiter).groupby("id", sort=False)
    assert found.names == [name for name, _ in table] == ["s0", "s1", "s2", "s3", "s4"]
    assert found.columns == ["x", "y"]
    same(found, [part[["x", "y"]].to_numpy() for _, part in table],
         [part["label"].iloc[0] for _, part in table])  # fmt: skip
    assert np.isnan(found.sequences[3][0, 0])
    again = read_sequences(path, Series(), ("y", "x"))  # in the order of the run
    same(again, [sequence[:, ::-1] for sequence in found.sequences], found.labels)
    timed = read_sequences(path, Series(columns=("x", "t")))
    np.testing.assert_array_equal(timed.sequences[0][:, 1], np.arange(4))


@pytest.mark.parametrize(("line", "place", "cell", "how", "message"), [
    (0, 0, "name", {}, "a.csv has no column 'id' that says which sequence a row belongs"),
    (0, 4, "class", {}, "a.csv, line 2: 'a' in column 'class' is not a number; if the column"),
    (0, 2, "y", {}, "a.csv has two columns 'y'; give one another name"),
    (0, 2, "", {}, "a.csv: column 3 has no name; name it, or the columns to read"),
    (2, 0, "", {}, "a.csv, line 3: '' in column 'id' names no sequence"),
    (2, 2, "1,5", {}, "a.csv, line 3: '1,5' in column 'x' has a comma: --data.decimal comma if"),
    (2, 2, "inf", {}, "a.csv, line 3: 'inf' in column 'x' is not finite; leave it empty"),
    (2, 2, "1_0", {}, "a.csv, line 3: '1_0' in column 'x' is not a number"),
    (2, 2, "1e999", {}, "a.csv, line 3: '1e999' in column 'x' is not finite"),
    (2, 4, "b", {}, "a.csv: sequence 's0' has classes 'a' and 'b' in column 'label'; a sequence"),
    (2, 1, "0", {"time": "t"}, "a.csv, line 3: times of a sequence must rise, and '0' comes after"),
    (2, 2, "2024-01-31", {}, "a.csv, line 3: '2024-01-31' in column 'x' is a date; if the column"),
    (2, 1, "soon", {"time": "t"}, "a.csv, line 3: 'soon' in column 't' is neither a number nor"),
    (2, 1, "1", {"time": "when"}, "a.csv has no column 'when'; it has ['id', 't', 'x'"),
    (2, 1, "1", {"columns": ("x", "z")}, "a.csv has no column 'z'; it has"),
    (2, 1, "1", {"columns": ("x", "x")}, "data.columns must name each column once"),
    (2, 1, "1", {"label": "who"}, "a.csv, line 2: 'a' in column 'label' is not a number"),
    (0, 4, "state", {}, "is not a number; if the column, as there is no 'label', has the "
     "classes: --data.label 'state'; to leave it out: --data.columns"),
    (2, 1, "1", {"time": "T"}, "a.csv has no column 'T'; it has ['id', 't', 'x', 'y', "
     "'label']; did you mean 't'?"),
    (0, 0, "name", {}, "a file of one sequence is read from a folder that holds it: --data.path"),
    (2, 1, "Mai 3", {"time": "t"}, "months and weekdays are known by their English names alone"),
])  # fmt: skip
def test_long_csv_that_is_refused(tmp_path, line, place, cell, how, message):
    rows = [list(row) for row in LONG]
    rows[line][place] = cell
    path = write_csv(tmp_path / "a.csv", rows)
    found = outcome(read_labelled, path, None, Series(**how))[1]
    assert found is not None
    assert message in found


@pytest.mark.parametrize(("text", "message"), [
    ("", "must hold a header and rows of numbers"),
    ("id,x\n", "must hold a header and rows of numbers"),
    ("1,2\n3,4\n", "has no header: its first line holds only numbers"),
    ("id,x\n1,2\n1\n", "line 3: has 1 cells, the header (line 1) has 2"),
    ('id,x\n1,"2\n', "line 2: a quote is not closed"),
    ("id,label\na,b\n", "has no column of numbers; it has ['id', 'label']"),
    ("id,x\na,1\nb,2\nb,3\n", "holds no classes to learn; it needs a column 'label', or --data.la"),
    ("id,x,label\na,1,\na,1,\nb,2,u\n", "sequence a has no class"),
    ("id,x\0,label\n", "is not text, or not in utf-8: for UTF-16 --data.encoding utf-16-le"),
])  # fmt: skip
def test_text_that_is_no_long_csv(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    found = outcome(read_labelled, str(tmp_path / "a.csv"), None)[1]
    assert found is not None
    assert message in found


def test_features_may_be_called_as_years_are(tmp_path):
    """Wavelengths, for example; in a table for forecasts such a header would be times."""
    path = tmp_path / "a.csv"
    path.write_text("id,1400,1500,1600,label\na,1,2,3,u\na,4,5,6,u\nb,7,8,9,v\n")
    found = read_labelled(str(path), None)
    same(found, [np.array([[1, 2, 3], [4, 5, 6]]), np.array([[7, 8, 9]])], ["u", "v"])
    assert found.columns == ["1400", "1500", "1600"]


def test_the_file_of_the_docs(tmp_path):
    page = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
    lines = page.partition("  ```text\n")[2].partition("  ```")[0].splitlines()
    (tmp_path / "a.csv").write_text("\n".join(map(str.strip, lines)))
    found = read_labelled(str(tmp_path / "a.csv"), None, Series(time="time"))
    same(found, [np.array([[20.1, 3], [20.4, np.nan]]), np.array([[19.8, 2]])], ["good", "bad"])
    assert (found.names, found.columns) == (["a7", "b2"], ["temperature", "load"])


def test_a_table_with_a_sequence_in_each_row(tmp_path):
    """It is no file of sequences of one step; the recipe of the message makes an .npz of it."""
    pandas = pytest.importorskip("pandas")
    rows = [(k, *INPUTS[k, :, 0], "abc"[k % 3]) for k in range(5)]
    path = write_csv(tmp_path / "a.csv", [("id", "t0", "t1", "t2", "t3", "label"), *rows])
    message = outcome(read_labelled, path, None)[1]
    assert "a.csv has one row for each 'id', and a row is a step; for a table with a" in message
    recipe = message.partition("in each row, ")[2].partition(", with the names")[0]
    new = tmp_path / "new.npz"
    exec(recipe, {"np": np, "pandas": pandas, "FILE": path, "NEW": new,
                  "STEPS": ["t0", "t1", "t2", "t3"], "LABEL": "label"})  # fmt: skip
    same(read_labelled(str(new), None), list(INPUTS[..., :1]), list("abcab"))


ROWS = [("id", "day", "x", "y", "label")] + [
    (f"s{k}", f"2024-01-{20 * (k % 2) + t + 1:02}", f"{INPUTS[k, t, 0]:.3f}",
     "" if t == 1 else f"{k + t}", "abc"[k % 3])
    for k, n in enumerate(LENGTHS) for t in range(n)
]  # fmt: skip


def as_text(rows, delimiter=",", day=None):
    """The rows as text; dates in another format."""
    lines = []
    for name, when, *rest in rows:
        written = when if day is None or when == "day" else f"{date.fromisoformat(when):{day}}"
        lines.append(delimiter.join([name, written, *rest]))
    return "\n".join(lines) + "\n"


def as_frame():
    frame = pd.DataFrame(ROWS[1:], columns=ROWS[0])
    day = pd.to_datetime(frame["day"])
    return frame.assign(day=day, x=frame["x"].astype(float), y=pd.to_numeric(frame["y"]))


def as_excel():
    file = io.BytesIO()
    with pd.ExcelWriter(file) as book:
        pd.DataFrame({"note": ["made by hand"]}).to_excel(book, sheet_name="about", index=False)
        as_frame().to_excel(book, sheet_name="runs", index=False)
    return file.getvalue()


TEXT = as_text(ROWS)
COMMAS = as_text([[cell.replace(".", ",") for cell in row] for row in ROWS], ";", "%d.%m.%Y")
FORMS = {
    "csv": ("a.csv", TEXT.encode(), {}),
    "pipes": ("a.dat", as_text(ROWS, "|").encode(), {}),
    "tabs": ("a.tsv", as_text(ROWS, "\t").encode(), {}),
    "decimal commas": ("a.csv", COMMAS.encode(), {"decimal": "comma", "date_order": "dmy"}),
    "gzip": ("a.csv.gz", gzip.compress(TEXT.encode()), {}),
    "UTF-16": ("a.txt", TEXT.encode("utf-16"), {}),
    "below notes": ("a.csv", ("by hand\n\n" + TEXT).encode(), {"skip": 1}),
    "-999": ("a.csv", TEXT.replace(",,", ",-999,").encode(), {"missing": ("-999",)}),
    "#N/A": ("a.csv", TEXT.replace(",,", ",#N/A,").encode(), {}),
    "American dates": ("a.csv", as_text(ROWS, ",", "%m/%d/%Y").encode(), {}),
    "names of months": ("a.csv", as_text(ROWS, ",", "%d %b %Y").encode(), {}),
    "an index": ("a.csv", as_frame().to_csv().encode(), {}),
    "parquet": ("a.parquet", as_frame().to_parquet(), {}),
    "parquet with an index": ("a.parquet", as_frame().set_index("id").to_parquet(), {}),
    "excel": ("a.xlsx", as_excel(), {"sheet": "runs"}),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_long_table_in_each_form(tmp_path, form):
    """The same sequences as `pandas.DataFrame.groupby` finds in the frame."""
    name, data, how = FORMS[form]
    (tmp_path / name).write_bytes(data)
    found = read_labelled(str(tmp_path / name), None, Series(time="day", **how))
    groups = as_frame().groupby("id", sort=False)
    same(found, [part[["x", "y"]].to_numpy() for _, part in groups],
         [part["label"].iloc[0] for _, part in groups])  # fmt: skip
    assert (found.names, found.columns) == ([f"s{k}" for k in range(5)], ["x", "y"])


def test_a_folder_of_tables_in_several_forms(tmp_path):
    frame = as_frame()
    writers = {"s0.csv": pd.DataFrame.to_csv, "s1.parquet": pd.DataFrame.to_parquet,
               "s2.xlsx": pd.DataFrame.to_excel, "s3.csv.gz": pd.DataFrame.to_csv,
               "s4.tsv": partial(pd.DataFrame.to_csv, sep="\t")}  # fmt: skip
    for name, write in writers.items():
        part = frame[frame["id"] == name[:2]].drop(columns=["id", "label"])
        write(part.reset_index(drop=True), tmp_path / name, index=False)
    pd.DataFrame({"file": list(writers), "label": list("abcab")}).to_excel(
        tmp_path / "labels.xlsx", index=False
    )
    found = read_labelled(str(tmp_path), None, Series(time="day"))
    groups = frame.groupby("id")
    same(found, [part[["x", "y"]].to_numpy() for _, part in groups], list("abcab"))
    (tmp_path / "labels.csv").write_text("file,label\n")
    assert "holds both labels." in outcome(read_labelled, str(tmp_path), None)[1]


@pytest.mark.parametrize(("text", "how", "message"), [
    ("id,t,x\na,01/02/2024,1\na,02/02/2024,1\n", {}, "which may be dmy or mdy (day, month, year)"),
    ("id,t,x\na,2024-01-02,1\na,3 Jan 2024,1\n", {}, "those above it are written differently"),
    ("id,t,x\na,2024-01-02,1\na,,1\n", {}, "line 3: '' in column 't' is neither a number nor a"),
    ("id,t,x\na,1700000000000000001,1\na,1700000000000000000,1\n", {}, "times of a sequence must"),
    ("id,t,x\na,1,1.000\na,2,2\n", {"decimal": "comma"}, "is not a number, unless digits are grou"),
    ("id,t,x\na,1,1\na,2,2\n", {"decimal": "comma", "thousands": "comma"}, "they must differ"),
    ("id,t,\na,1,5\na,2,5\n", {}, "column 3 has no name; name it, or the columns to read"),
])  # fmt: skip
def test_tables_of_sequences_that_are_refused(tmp_path, text, how, message):
    (tmp_path / "a.csv").write_text(text)
    assert message in outcome(read_sequences, str(tmp_path / "a.csv"), Series(time="t", **how))[1]


def write_folder(folder, classes="ab"):
    """A file a sequence in the folder of its class; without classes, all in the folder itself."""
    for k, n in enumerate(LENGTHS):
        inside = folder / classes[k % 2] if classes else folder
        inside.mkdir(parents=True, exist_ok=True)
        rows = [("x", "y"), *INPUTS[k, :n, :2].tolist()]
        write_csv(inside / f"{k * 5}.csv", rows)
    return folder


def test_a_folder_with_a_file_for_each_sequence(tmp_path):
    folder = write_folder(tmp_path / "classes")
    (folder / ".DS_Store").write_text("")
    found = read_labelled(str(folder), None)
    order = [0, 2, 4, 1, 3]
    same(found, [INPUTS[k, : LENGTHS[k], :2] for k in order], list("aaabb"))
    assert found.names == ["a/0.csv", "a/10.csv", "a/20.csv", "b/5.csv", "b/15.csv"]
    assert found.columns == ["x", "y"]
    flat = write_folder(tmp_path / "flat", "")
    whole = [INPUTS[k, : LENGTHS[k], :2] for k in range(5)]
    before = read_sequences(str(flat))
    same(before, whole, [])
    message = outcome(read_labelled, str(flat), None)[1]
    assert "put each file into a sub-folder that is called as its class" in message
    assert message.endswith("or list the files in labels.csv, with the columns file and label")
    write_csv(flat / "labels.csv", [("file", "label"), *((f"{5 * k}.csv", k) for k in range(5))])
    after = read_labelled(str(flat), None)
    same(after, whole, list("01234"))
    assert after.sha256 != before.sha256
    os.rename(flat / "0.csv", flat / "1.csv")
    assert "no class for 1.csv" in outcome(read_sequences, str(flat))[1]


@pytest.mark.parametrize(("name", "rows", "message"), [
    ("c.csv", [("x", "y"), (1, 2)], "holds both files (c.csv) and folders"),
    ("a/c.md", [("x", "y"), (1, 2)], "c.md is not a table"),
    ("a/c.csv", [("x", "z"), (1, 2)], "a/c.csv has columns ['x', 'z'], a/0.csv has ['x', 'y']"),
    ("a/c.csv", [("x", "y", "label"), (1, 2, 3)], "a/c.csv has a column 'label', as one long ta"),
    ("a/c.csv", [("x", "y")], "a/c.csv must hold a header and rows of numbers"),
    ("a/c.csv", [], "a/c.csv must hold a header and rows of numbers"),
    ("a/c.csv", [(1, 2), (3, 4)], "a/c.csv has no header"),
    ("a/c.csv", [("x", "y"), (1, "u")], "a/c.csv, line 2: 'u' in column 'y' is not a number"),
    ("a/c/d.csv", [("x", "y"), (1, 2)], "a/c is not a table"),
    ("Test/c.csv", [("x", "y"), (1, 2)], "holds a folder Test, which is a split and no class"),
    ("labels.csv", [("file", "label"), ("0.csv", 2)], "holds both folders of classes and l"),
])  # fmt: skip
def test_folders_that_are_refused(tmp_path, name, rows, message):
    folder = write_folder(tmp_path / "d")
    (folder / name).parent.mkdir(exist_ok=True, parents=True)
    write_csv(folder / name, rows)
    found = outcome(read_labelled, str(folder), None)[1]
    assert found is not None
    assert message in found


@pytest.mark.parametrize(("rows", "message"), [
    ([("file", "class"), *((f"{5 * k}.csv", k) for k in range(5))], "has no column 'label'"),
    ([("file", "label"), *((f"{5 * k}.csv", k) for k in range(4))], "has no class for 20.csv"),
    ([("file", "label"), *((f"{5 * k}.csv", k) for k in range(6))], "has a class for 25.csv, "),
    ([("file", "label"), *((f"{k // 5 * 5}.csv", k) for k in range(25))], "has 0.csv 5 times"),
])  # fmt: skip
def test_lists_of_classes_that_are_refused(tmp_path, rows, message):
    folder = write_folder(tmp_path / "d", "")
    write_csv(folder / "labels.csv", rows)
    assert message in outcome(read_labelled, str(folder), None)[1]


def test_a_class_may_have_any_name(tmp_path):
    """Names that mean something to other programs, such as a formula, are drawn as they are."""
    from matplotlib.figure import Figure

    names = ["$x^$", "a,b", "<b>"]
    path = write_csv(tmp_path / "a.csv", [("id", "x", "label"), *(
        (k, t, names[k % 3]) for k in range(60) for t in range(3)
    )])  # fmt: skip
    config = Classification(data=Series(path=path), model=Model(hidden=(4,)))
    task = find_task("classification")
    data = task.load(config)
    assert data.about["classes"] == sorted(names)
    params = init_model(jax.random.key(0), config.model, data.shape)
    figure = Figure()
    task.draw(figure, config, data, partial(measure.run, config, task, params))
    figure.savefig(tmp_path / "a.svg")
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == sorted(names)


@pytest.mark.slow
def test_a_run_on_a_folder_and_on_one_file(tmp_path):
    """Trained, measured and predicted in three commands; what is wrong is one line, status 2."""
    folder = tmp_path / "classes"
    for k in range(40):
        (folder / "ab"[k % 2]).mkdir(parents=True, exist_ok=True)
        rows = RNG.normal(3 * (k % 2), 1, (RNG.integers(3, 9), 2)).tolist()
        rows[1][0] = "NA" if k % 5 == 0 else rows[1][0]
        write_csv(folder / "ab"[k % 2] / f"{k}.csv", [("x", "y"), *rows])
    flags = ["--steps", "30", "--model.hidden", "8", "--data.path", str(folder)]
    out = str(tmp_path / "run")
    process = run_command("configs/japanese_vowels.toml", "--out", out, *flags)
    assert process.returncode == 0, process.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["missing"] == 8
    assert result["test"]["accuracy"] > 0.8
    long = [("label", "y", "id", "x")]
    for path in sorted(folder.glob("*/*.csv")):
        _, *rows = csv.reader(path.read_text().splitlines())
        long += [(path.parent.name, y, path.stem, x) for x, y in rows]
    table = write_csv(tmp_path / "long.csv", long, ";")
    process = run_command(out, "--data.path", table, module="train.evaluate")
    assert json.loads(process.stdout)["accuracy"] > 0.8, process.stderr
    process = run_command(out, "--data.path", table, module="train.predict")
    assert {row.split(",")[0] for row in process.stdout.splitlines()[1:]} == set(
        map(str, range(40))
    )
    (folder / "c.txt").write_text("")
    process = run_command("configs/japanese_vowels.toml", "--out", out + "2", *flags)
    assert process.returncode == 2
    assert process.stderr.startswith("train: data.path ")
    assert process.stderr.count("\n") == 1
    assert not (tmp_path / "run2").exists()


@pytest.mark.parametrize("suffix", [".xlsx", ".parquet"])
def test_numbers_of_workbooks_are_numbers_whatever_the_flags(tmp_path, suffix):
    """The numbers that pandas reads, in one table and in a folder; text follows the flags."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"a": rng.integers(1_000, 99_999, 40) / 1000, "b": rng.normal(size=40)})
    written = frame.assign(text=[f"{n:.3f}".replace(".", ",") for n in frame["a"]])
    (tmp_path / "all").mkdir()
    paths = tmp_path / f"one{suffix}", tmp_path / "all" / f"s0{suffix}"
    for path, table in zip(paths, (written.assign(id="s0"), written), strict=True):
        (table.to_excel if suffix == ".xlsx" else table.to_parquet)(path, index=False)
    for place in (paths[0], tmp_path / "all"):
        found = read_sequences(str(place), Series(decimal="comma", thousands="point"))
        wanted = frame[["a", "b", "a"]]
        np.testing.assert_allclose(found.sequences[0], wanted, rtol=1e-15)  # 16 digits in .xlsx
