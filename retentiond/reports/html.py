"""One self-contained HTML document: no script, nothing from elsewhere, and every text escaped by construction."""

import html
import json
from collections.abc import Iterable, Mapping, Sequence


class Html(str):
    """Text that is HTML already; whatever else is put into a document is escaped."""

    __slots__ = ()


def tag(name: str, *children: str, **attributes: str) -> Html:
    """An element; `class_` is the attribute `class`."""
    said = "".join(f' {key.rstrip("_")}="{html.escape(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{said}>{joined(*children)}</{name}>")


def joined(*children: str) -> Html:
    """The children one after the other, each escaped unless it is HTML."""
    return Html("".join(child if isinstance(child, Html) else html.escape(child) for child in children))


def facts(rows: Iterable[tuple[str, str]]) -> Html:
    """A list of names and what they mean; one without a meaning is left out."""
    return tag("dl", *(joined(tag("dt", name), tag("dd", value)) for name, value in rows if value))


def grid(
    head: Sequence[str], rows: Iterable[Sequence[str]], foot: Sequence[str] = (), *, short: int = 0, numbers: int = 0
) -> Html:
    """A table whose first `short` columns never break, and whose last `numbers` columns hold numbers."""
    classes = ["short"] * short + [""] * (len(head) - short - numbers) + ["number"] * numbers

    def cell(name: str, text: str, class_: str) -> Html:
        return tag(name, text, class_=class_) if class_ else tag(name, text)

    def row(cells: Sequence[str], name: str) -> Html:
        return tag("tr", *(cell(name, text, class_) for text, class_ in zip(cells, classes, strict=True)))

    parts = [tag("thead", row(head, "th")), tag("tbody", *(row(cells, "td") for cells in rows))]
    return tag("table", *parts, *([tag("tfoot", row(foot, "td"))] if foot else []))


def lines(texts: Iterable[str]) -> Html:
    """One paragraph for each text."""
    return joined(*(tag("p", text) for text in texts))


def bullets(items: Iterable[str]) -> Html:
    """A list with dots."""
    return tag("ul", *(tag("li", item) for item in items))


def section(heading: str, *children: str, class_: str = "") -> Html:
    """A part of the document under its heading."""
    return tag("section", tag("h2", heading), *children, **({"class_": class_} if class_ else {}))


def data_block(document: Mapping[str, object]) -> Html:
    """A JSON document inside the page: for programs, never run, and unable to end its own element."""
    text = json.dumps(document, ensure_ascii=True, separators=(",", ":"))
    text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return Html(f'<script type="application/json" id="document">{text}</script>')


def page(title: str, *children: str) -> str:
    """The whole document."""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    head = (
        '<meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"{tag('title', title)}<style>{_STYLE}</style>"
    )
    body = tag("main", *children)
    return f'<!doctype html>\n<html lang="en">\n<head>{head}</head>\n<body>\n{body}\n</body>\n</html>\n'


_STYLE = """
:root { --ink: #1c2024; --soft: #5b646e; --line: #d5dae0; --paper: #fff; --ground: #f3f4f6; --note: #fdf6e3;
  --note-line: #d9a514; --accent: #23527c; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7ea; --soft: #a0a9b3; --line: #3a424b; --paper: #1b1f24; --ground: #121519; --note: #2c2718;
    --note-line: #b78d1c; --accent: #8fbce6; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.55 Georgia, "Times New Roman", serif; }
main { max-width: 50rem; margin: 2rem auto; padding: 3rem 3.5rem; background: var(--paper);
  border: 1px solid var(--line); }
h1, h2, h3, th, dt, .maker { font-family: system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
h1 { margin: .2rem 0 1rem; font-size: 1.9rem; line-height: 1.2; font-weight: 650; }
h2 { margin: 2.4rem 0 .8rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line); font-size: 1.15rem;
  font-weight: 650; break-after: avoid; }
h3 { margin: 1.6rem 0 .5rem; font-size: .95rem; break-after: avoid; }
p { margin: .7rem 0; }
.maker { margin: 0; color: var(--soft); font-size: .85rem; }
.lead { font-size: 1.12rem; }
.soft { color: var(--soft); font-size: .9rem; }
.note { margin: 1.2rem 0; padding: .8rem 1.1rem; background: var(--note); border-left: 4px solid var(--note-line); }
.note p { margin: .3rem 0; }
dl { display: grid; grid-template-columns: 11rem 1fr; gap: .45rem 1.4rem; margin: .8rem 0; }
dt { color: var(--soft); font-size: .87rem; padding-top: .13rem; }
dd { margin: 0; overflow-wrap: anywhere; }
dd p { margin: 0 0 .35rem; }
dd ul { margin: 0; }
table { width: 100%; margin: .8rem 0; border-collapse: collapse; }
th { padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--ink); text-align: left; font-size: .82rem;
  font-weight: 600; color: var(--soft); }
td { padding: .4rem .6rem .4rem 0; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere; }
tfoot td { border-bottom: none; font-weight: bold; }
tr { break-inside: avoid; }
.number { text-align: right; padding-right: 0; white-space: nowrap; font-variant-numeric: tabular-nums; }
.short { white-space: nowrap; padding-right: 1.2rem; }
ul { margin: .6rem 0; padding-left: 1.3rem; }
li { margin: .3rem 0; }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .82em; }
pre { margin: .6rem 0; padding: .8rem 1rem; background: var(--ground); border: 1px solid var(--line);
  white-space: pre-wrap; overflow-wrap: anywhere; }
.appendix { font-size: .9rem; }
.appendix table { font-size: .86rem; }
@media (max-width: 44rem) {
  main { margin: 0; padding: 1.5rem 1.2rem; border: none; }
  dl { grid-template-columns: 1fr; gap: .1rem; }
  dd { margin-bottom: .6rem; }
}
@page { size: A4; margin: 20mm 18mm 22mm; }
@media print {
  :root { --ink: #000; --soft: #444; --line: #bbb; --paper: #fff; --ground: #fff; --note: #fff; --note-line: #000;
    --accent: #000; }
  body { font-size: 10.5pt; background: none; }
  main { max-width: none; margin: 0; padding: 0; border: none; }
  .appendix { break-before: page; }
  .note, .whole, dl > *, pre { break-inside: avoid; }
}
"""
