"""Tables on a page: nothing wider than the page, nothing lost."""

from __future__ import annotations

import csv
import io
import random
from itertools import pairwise
from pathlib import Path

import pytest

from layerscope.flags import FLAGS
from layerscope.records import FitQuality, Quantity, ResultRecord, SampleState
from layerscope.runs.load import Run
from layerscope.runs.present import overview
from layerscope.runs.summary import Column, SummaryTable, table, words_table
from layerscope.runs.table_formats import TABLE_FORMATS, as_latex, as_markdown
from layerscope.runs.table_text import as_text


def level(seconds: float, components: int, flags: tuple[str, ...] = ()) -> ResultRecord:
    quantities = tuple(
        Quantity(
            name="species.fraction", value=k + seconds / 1e4, sigma=1e-4, sigma_kind="counting", unit="1",
            component=f"species {k}",
        )
        for k in range(components)
    )  # fmt: skip
    return ResultRecord(
        record_id=f"{int(seconds):064x}",
        technique="t",
        method="m",
        method_version="1",
        state=SampleState(sample="s", etch_time_s=seconds),
        quantities=quantities,
        quality=FitQuality(flags=flags),
    )


def fractions(rows: int, components: int, flags: tuple[str, ...] = ()) -> SummaryTable:
    records = [level(10.0 * k, components, flags) for k in range(rows)]
    return table(records, ("etch_time_s",), ("species.fraction",), title="shares")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_page_and_no_value_is_cut(width: int) -> None:
    chance = random.Random(width)

    def word() -> str:
        return "".join(chance.choices("abcXYZ 019/-αÅ中", k=chance.randint(1, 30))).strip() or "0"

    for _ in range(200):
        kinds = chance.choices(("key", "value", "value", "value", "text"), k=chance.randint(1, 12))
        fields = tuple(Column(word(), kind=kind) for kind in kinds)
        made = words_table("title", fields, [[word() for _ in fields] for _ in range(chance.randint(1, 9))])
        lines = as_text(made, width)
        assert max(len(line) + line.count("中") for line in lines) <= width
        if kinds.count("key") < 2:
            text = "\n".join(lines)
            values = [row[n] for row in made.rows for n, kind in enumerate(kinds) if kind == "value"]
            assert all(value in text for value in values)


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_wide_table_goes_on_in_blocks_that_say_which_row_is_which_and_its_status(width: int) -> None:
    made = fractions(12, 14)
    lines = as_text(made, width)
    assert max(map(len, lines)) <= width
    blocks = "\n".join(lines[1:]).split("\n\n")
    assert len(blocks) > 1
    for block in blocks:
        body = block.splitlines()
        assert [line.split()[0] for line in body if line.split()[0].isdigit()] == [str(10 * k) for k in range(12)]
        assert sum(" ok" in line for line in body) == 12
    for row in made.rows:
        assert all(cell in "\n".join(lines) for cell in row)


def test_flags_stand_in_their_row_by_name_and_what_they_are_about_below() -> None:
    records = [level(0, 1), level(10, 1, ("AT_BOUND:fwhm", "CORRELATED:a~b 0.98")), level(20, 1, ("AT_BOUND:mixing",))]
    lines = as_text(table(records, ("etch_time_s",), ("species.fraction",), title="t"), 80)
    named = [line.split()[3:] for line in lines if line.lstrip()[:1].isdigit()]
    assert named == [[], ["AT_BOUND,", "CORRELATED"], ["AT_BOUND"]]
    below = " ".join(" ".join(lines[lines.index(next(line for line in lines if "(fwhm" in line)) :]).split())
    assert below == (
        f"AT_BOUND (fwhm, mixing): {FLAGS['AT_BOUND'].meaning}. To do: {FLAGS['AT_BOUND'].do}. "
        f"CORRELATED (a~b 0.98): {FLAGS['CORRELATED'].meaning}."
    )


def test_flags_that_every_row_has_are_said_once() -> None:
    lines = as_text(fractions(12, 3, flags=("OVERLAP:P 2s with B-O",)), 80)
    at = lines.index("Flags of every row:")
    assert lines[at + 1].startswith("OVERLAP (P 2s with B-O): ")
    assert sum("OVERLAP" in line for line in lines) == 1


def test_a_wide_table_of_few_rows_is_turned() -> None:
    made = fractions(2, 14)
    lines = as_text(made, 80)
    assert "species 3" in lines[5]
    assert lines[5].split()[-2:] == ["3.00000(10)", "3.00100(10)"]
    assert lines[1].split() == ["etch", "time", "/", "s", "0", "10"]
    assert lines[16].split() == ["status", "ok", "ok"]


def test_units_stand_below_the_heads_and_numbers_end_in_one_column() -> None:
    fields = (Column("etch time", "s", "key"), Column("B", "%"), Column("remark", kind="text"))
    lines = as_text(words_table("t", fields, [(0, 12.5, "one"), (110.0, 3.0, "two")]), 80)
    assert lines[1:5] == ["etch", "time     B", "   s     %  remark", "----  ----  ------"]
    assert lines[5:] == ["   0  12.5  one", " 110     3  two"]


def test_long_words_break_at_spaces_and_fill_the_page() -> None:
    reason = "the file holds no spectrum of this region and no comment that says where it could be found " * 2
    lines = as_text(words_table("Quarantined", ("file", "kind", "reason"), [("a.vms", "data", reason.strip())]), 80)
    assert max(map(len, lines)) <= 80
    assert max(map(len, lines)) > 70
    assert " ".join(line[13:].strip() for line in lines[3:]) == reason.strip()


def test_rows_beyond_the_most_are_counted() -> None:
    lines = as_text(fractions(9, 1), 80, most_rows=4)
    assert "... and 5 rows more (layerscope show --all)" in lines
    assert not any("80" in line.split() for line in lines)


def test_programs_read_the_same_table_as_csv_and_tsv() -> None:
    made = fractions(3, 2)
    for name, delimiter in (("csv", ","), ("tsv", "\t")):
        rows = list(csv.reader(io.StringIO(TABLE_FORMATS[name](made)), delimiter=delimiter))
        assert rows[0] == ["etch time / s", "species 0", "species 0 sigma", "species 1", "species 1 sigma", "status"]
        assert [float(row[3]) for row in rows[1:]] == [1.0, 1.001, 1.002]


def test_papers_get_dashes_for_gaps_subscripts_for_formulas_and_no_live_sign() -> None:
    fields = (Column("sample", kind="key"), Column("Li3InCl6", "%"), Column("flags", kind="flags"))
    made = words_table("LiCoO2 of 50 % & more", fields, [("a_b", None, ("AT_BOUND:x",)), ("c|d", 2.5, ())])
    latex = as_latex(made)
    assert r"\caption{LiCoO$_{2}$ of 50 \% \& more.}" in latex
    assert r"sample & Li$_{3}$InCl$_{6}$ / \% & flags \\" in latex
    assert r"a\_b & -- & AT\_BOUND:x \\" in latex
    assert r"\begin{tabular}{lrl}" in latex
    markdown = as_markdown(made).splitlines()
    assert markdown[3] == "| --- | ---: | --- |"
    assert markdown[5] == "| c\\|d | 2.5 |  |"


@pytest.mark.parametrize(
    ("text", "safe"),
    [("=1+1", "'=1+1"), ("@a", "'@a"), ("+cmd", "'+cmd"), ("-x", "'-x"), ("\tx", "'\tx")]
    + [(text, text) for text in ("-0.20(15)", "+36.5", "-.5", "-", "B-O", "O3'/H1-3", "1e-3")],
)
def test_only_what_a_spreadsheet_would_compute_is_quoted(text: str, safe: str) -> None:
    rows = list(csv.reader(io.StringIO(TABLE_FORMATS["csv"](words_table("t", ("a", "b"), [("x", text)])))))
    assert rows[1][1] == safe


def test_a_wide_latex_table_goes_on_in_further_ones_with_the_keys_repeated() -> None:
    made = fractions(3, 20)
    parts = as_latex(made).split(r"\end{table}")[:-1]
    specs = [part.partition(r"\begin{tabular}{")[2].partition("}")[0] for part in parts]
    assert len(parts) > 1
    assert max(map(len, specs)) <= 9
    heads = [part.partition("\\toprule\n")[2].partition("\n")[0] for part in parts]
    assert all(head.startswith("etch time / s & ") for head in heads)
    assert sum(head.count("species") for head in heads) == 20
    assert [f"part {n + 1}" in part for n, part in enumerate(parts)] == [True] * len(parts)


def test_what_all_rows_share_stands_in_the_caption_of_a_latex_table() -> None:
    fields = (
        Column("sample", kind="key"),
        Column("etch time", "s", "key"),
        Column("B", "%"),
        Column("status", kind="status"),
    )
    latex = as_latex(words_table("t", fields, [("LCO", 0, 12.5, "ok"), ("LCO", 10, 3.0, "ok")]))
    assert r"\caption{t (sample LCO).}" in latex
    assert r"\begin{tabular}{rr}" in latex
    doubted = as_latex(words_table("t", fields, [("LCO", 0, 12.5, "ok"), ("LCO", 10, 3.0, "warning")]))
    assert "& warning" in doubted


def test_html_holds_cells_as_they_are_printed_and_no_markup_of_names() -> None:
    fields = (Column("sample", kind="key"), Column("B", "%"))
    text = TABLE_FORMATS["html"](words_table("a < b", fields, [("<b>x</b>", 2.5), ("y", None)]))
    assert "<caption>a &lt; b</caption>" in text
    assert ">&lt;b&gt;x&lt;/b&gt;</td>" in text
    assert text.count('align="right"') == 3


def test_every_form_ends_in_one_line_feed() -> None:
    for form in TABLE_FORMATS.values():
        text = form(fractions(2, 2))
        assert text.endswith("\n")
        assert not text.endswith("\n\n")
        assert not any(a == b == "\n" for a, b in pairwise(text[-3:]))


def test_the_short_summary_tells_each_series_of_a_sample_by_its_own_ends() -> None:
    records = [
        record.model_copy(
            update={
                "record_id": f"{number:064x}",
                "state": record.state.model_copy(update={"series": name}),
            }
        )
        for number, (name, record) in enumerate([(n, level(t, 2)) for n in ("one", "two") for t in (0, 10, 20)])
    ]
    made = table(records, ("etch_time_s",), ("species.fraction",), title="s: shares", headline=True)
    info = {"counts": {"records": 6, "ok": 6, "warning": 0, "failed": 0}}
    lines = overview(Run(Path("run"), tuple(records), info), [made], width=80, most=10)
    assert lines == [
        "s (t): 6 ok",
        "  one, shares: species 0 0.00000(10) → 0.00200(10),",
        "  species 1 1.00000(10) → 1.00200(10)",
        "  two, shares: species 0 0.00000(10) → 0.00200(10),",
        "  species 1 1.00000(10) → 1.00200(10)",
    ]


def test_what_all_rows_share_is_said_once_above() -> None:
    fields = (
        Column("region", kind="key"),
        Column("voltage", "V", "key"),
        Column("component", kind="key"),
        Column("wt"),
    )
    lines = as_text(words_table("t", fields, [("003", 4.6, "O3", 0.5), ("003", 4.6, "H1-3", 0.5)]), 80)
    assert lines[:3] == ["t", "region 003, voltage 4.6 V", "component   wt"]
    assert lines[4:] == ["O3         0.5", "H1-3       0.5"]
