"""Plain copies of the chapters, for viewers that know no MyST: GitHub, Colab, Jupyter as it comes.

Before Sphinx writes a page, it has resolved every reference, citation, number and title of it.
What it has then is written as Markdown into the notebook's own cells, each block into the cell that
it comes from.  Code and outputs stay, with charts as pictures that every viewer shows.
"""

import base64
import re
from pathlib import Path
from urllib.parse import urljoin

import nbformat
from docutils import nodes
from sphinx_design.dropdown import dropdown_title

from .. import repository
from ..stored_charts import OUTPUT_KEY

FOLDER = "plain"  # of the copies, in _build; and the branch on which they are published
LINES_A_CELL = 10_000  # myst-nb counts the lines of cell i from 10,000 (i + 1)
MARKUP = re.compile(r"([\\`*_<$]|\](?=[(:]))")  # "\\[" would begin a formula in some viewers
HREF = re.compile(r' href="([^"]*)"')
FORMULA = re.compile(r"(?<!\\)\$[^$]+\$")
MARKS = {nodes.strong: "**", nodes.emphasis: "*"}
HEADS = (nodes.title, nodes.caption, nodes.rubric, dropdown_title)
UNSEEN = (nodes.comment, nodes.target, *HEADS)  # in their places: a block has its head before it
FOLDED = {"hide-input", "hide-cell", "remove-input", "remove-cell"}  # tags of cells
SVG, PNG, HTML = "image/svg+xml", "image/png", "text/html"
SCALE = 2  # pixels of a picture for one of its chart


class Writer:
    """Writes nodes of one page as Markdown.

    `numbers` are those of its figures, equations and so on, {kind: {id: number}}; `page` is its
    address, from which links lead to others.  Without one, links are words.
    """

    def __init__(self, formats, kind_of, numbers, page):
        self.formats, self.kind_of, self.numbers, self.page = formats, kind_of, numbers, page

    def line(self, node) -> str:
        """What stands within a paragraph."""
        if isinstance(node, nodes.Text):
            return MARKUP.sub(r"\\\1", one_line(node.astext()))
        if isinstance(node, nodes.math):
            return f"${one_line(node.astext()).strip()}$"
        if isinstance(node, nodes.literal):
            return code_span(node.astext())
        if isinstance(node, nodes.image):
            return f"*{node.get('alt', '')}*"
        if isinstance(node, (nodes.raw, *UNSEEN)):
            return ""
        inside = self.children(node)
        if isinstance(node, nodes.reference):
            return self.link(node, inside)
        mark = MARKS.get(type(node), "") if inside.strip() else ""
        return f"{mark}{inside}{mark}"

    def children(self, node) -> str:
        return "".join(map(self.line, node.children))

    def link(self, node, inside: str) -> str:
        """The words of a link, with its address where there is one."""
        target = self.address(node.get("refuri") or f"#{node['refid']}")
        return f"[{inside}]({target})" if target else inside

    def address(self, target: str) -> str:
        """Where a link leads from any place, or ""."""
        target = urljoin(self.page or "", target)
        return target if target.startswith(("http", "mailto:")) else ""

    def html(self, text: str) -> str:
        """The HTML of an output, with links that lead somewhere from any place."""
        linked = HREF.sub(lambda found: f' href="{self.address(found[1])}"', text)
        return linked.replace(' href=""', "")

    def number(self, node) -> str:
        """The number of a figure, an equation, an exercise or a theorem; "" if it has none."""
        kind = "displaymath" if isinstance(node, nodes.math_block) else self.kind_of(node)
        known = self.numbers.get(kind, {})
        return ".".join(str(part) for name in node["ids"][:1] for part in known.get(name, ()))

    def head(self, node) -> str:
        """The bold name of a block, as "Fig. 7" or "Theorem 3 (Unbiasedness)"."""
        number = self.number(node) if node.get("ids") else ""
        name = self.formats[self.kind_of(node)] % number if number else ""
        title = self.children(head_of(node)).strip()
        return f"**{name[:1].upper()}{name[1:]}** {title}" if name else f"**{title}**"

    def title(self, section) -> str:
        """The title of a section, with its number where the book numbers them."""
        known = self.numbers.get("section", {})
        number = known.get(f"#{section['ids'][0]}", known.get(""))  # "" is the page's own
        words = self.children(head_of(section))
        return f"{'.'.join(map(str, number))}. {words}" if number else words

    def blocks(self, node) -> list[str]:
        """A block, as a text for each of its paragraphs."""
        if isinstance(node, UNSEEN):
            return []
        if isinstance(node, (nodes.paragraph, nodes.term)):
            return [self.children(node)]
        if isinstance(node, nodes.math_block):
            number = self.number(node) if node["ids"] else ""
            tag = rf" \tag{{{number}}}" if number else ""
            return [f"$$ {one_line(node.astext()).strip()}{tag} $$"]
        if isinstance(node, nodes.literal_block):
            language = node.get("language", "").removeprefix("default")
            return [f"```{language}\n{node.astext().rstrip()}\n```"]
        if isinstance(node, (nodes.bullet_list, nodes.enumerated_list)):
            return ["\n".join(self.items(node))]
        if isinstance(node, nodes.table):
            return [*([self.head(node)] if head_of(node) else []), self.table(node)]
        if isinstance(node, nodes.raw):  # an output that is glued; else of use on the page only
            return [self.html(node.astext())] if "output" in node["classes"] else []
        inside = [text for child in node.children for text in self.blocks(child)]
        if head_of(node) and not isinstance(node, nodes.section):
            inside.insert(0, self.head(node))
        return [quoted(inside)] if is_set_apart(node) else inside

    def items(self, node):
        """The items of a list, their further paragraphs indented."""
        for place, item in enumerate(node.children, start=node.get("start", 1)):
            mark = "- " if isinstance(node, nodes.bullet_list) else f"{place}. "
            text = "\n\n".join(self.blocks(item))
            yield mark + text.replace("\n", "\n" + " " * len(mark))

    def table(self, node) -> str:
        """A table, a line for each row."""
        rows = [[self.cell(entry) for entry in row.children] for row in node.findall(nodes.row)]
        rows.insert(1, ["---"] * len(rows[0]))
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)

    def cell(self, entry) -> str:
        """A cell of a table, on one line and without bars, which would begin the next one."""
        text = one_line(" ".join(self.blocks(entry)))
        return FORMULA.sub(lambda found: bars_named(found[0]), text).replace("|", r"\|")


def one_line(text: str) -> str:
    return text.replace("\n", " ")


def code_span(text: str) -> str:
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}"


def bars_named(formula: str) -> str:
    """A formula without bars."""
    return formula.replace(r"\|", r"\Vert ").replace("|", r"\vert ")


def quoted(texts) -> str:
    """Paragraphs as a quotation, which sets them apart."""
    return "\n".join(f"> {line}".rstrip() for line in "\n\n".join(texts).splitlines())


def head_of(node):
    """The title of a block, or None."""
    return next((part for part in node.children if isinstance(part, HEADS)), None)


def is_set_apart(node) -> bool:
    """Whether the page sets a block apart: an exercise, a theorem, a fold, a quotation."""
    if isinstance(node, (nodes.section, nodes.figure)):
        return False
    return bool(head_of(node)) or isinstance(node, (nodes.block_quote, nodes.admonition))


def holds_code(node) -> bool:
    return any(part.get("nb_element") == "cell_code" for part in node.findall(nodes.container))


def cell_of(node, last: int) -> int:
    """The index of the cell that a node comes from; `last` where its lines don't say."""
    lines = (part.line for part in node.findall() if part.line)
    return next((line // LINES_A_CELL - 1 for line in lines if line >= LINES_A_CELL), last)


def spread(node, writer: Writer, texts, last=0, depth=0) -> int:
    """Put the blocks below a node to the cells that they come from, `texts` of each cell.

    `last` is the index of the cell before, `depth` that of headings. Returns the last index.
    """
    for child in node.children:
        if child.get("nb_element") == "cell_code":
            last = child["cell_index"]
            texts[last] += map(writer.head, child.findall(nodes.figure))
            continue
        last = cell_of(child, last)
        if isinstance(child, nodes.section) and head_of(child):
            texts[last].append(f"#{'#' * depth} {writer.title(child)}")
            last = spread(child, writer, texts, last, depth + 1)
        elif isinstance(child, nodes.section) or holds_code(child):
            texts[last] += [writer.head(child)] if head_of(child) else []
            last = spread(child, writer, texts, last, depth)
        else:
            texts[last] += writer.blocks(child)
    return last


def copied(notebook, texts, writer: Writer):
    """The notebook with these texts, and with code cells as every viewer takes them."""
    cells = []
    for cell, words in zip(notebook.cells, texts):
        text = "\n\n".join(words)
        if cell.cell_type == "code":
            cells.append(plain_code(cell, writer))
            if text:
                cells.append(nbformat.v4.new_markdown_cell(text, id=f"{cell.id}-caption"))
        elif text:
            cells.append(nbformat.v4.new_markdown_cell(text, id=cell.id))
    about = {key: notebook.metadata[key] for key in ("kernelspec", "language_info")}
    return nbformat.v4.new_notebook(cells=cells, metadata=about)


def plain_code(cell, writer: Writer):
    """A code cell with the outputs that the page shows, folded where the page folds it."""
    tags = set(cell.metadata.get("tags", []))
    folds = {"jupyter": {"source_hidden": True}, "cellView": "form"}  # of JupyterLab, of Colab
    shown = [] if tags & {"remove-cell", "remove-output"} else cell.outputs
    return nbformat.v4.new_code_cell(
        cell.source,
        id=cell.id,
        execution_count=cell.execution_count,
        metadata=folds if tags & FOLDED else {},
        outputs=[plain_output(output, writer) for output in shown if is_seen(output)],
    )


def is_seen(output) -> bool:
    """Whether an output is more than a value that is kept for a text."""
    kinds = output.get("data", {"stream": None})
    return any(not kind.startswith("application/papermill") for kind in kinds)


def plain_output(output, writer: Writer):
    """An output without the book's own metadata, a chart as a picture on white."""
    chart = output.get("metadata", {}).get(OUTPUT_KEY)
    if chart:
        picture, width = png(output.data[SVG])
        data = {PNG: picture, "text/plain": chart["description"]}
        about = {PNG: {"width": width, "alt": chart["description"]}}
        return nbformat.from_dict(output | {"data": data, "metadata": about})
    if HTML in output.get("data", {}):
        output.data[HTML] = writer.html(output.data[HTML])
    return output


def png(svg: str) -> tuple[str, int]:
    """A picture in base64, as a notebook stores it, and its width: GitHub breaks SVG."""
    import vl_convert

    opening = re.match(r"<svg [^>]*>", svg)[0]
    white = f'{opening}<rect width="100%" height="100%" fill="white"/>'
    drawn = vl_convert.svg_to_png(svg.replace(opening, white, 1), scale=SCALE)
    width = float(re.search(r'width="([\d.]+)"', opening)[1])
    return base64.b64encode(drawn).decode(), round(width)


def write_copy(app, doctree, name: str) -> None:
    """Write the plain copy of a chapter, once Sphinx has resolved all that is in it."""
    from offline import LANGUAGES, in_language  # of book/_ext, where Sphinx finds it

    if not name.startswith("notebooks/"):
        return
    pages = repository.pages()
    env = app.env
    numbers = env.toc_fignumbers.get(name, {}) | {"section": env.toc_secnumbers.get(name, {})}
    kind_of = env.get_domain("std").get_enumerable_node_type
    writer = Writer(app.config.numfig_format, kind_of, numbers, pages and f"{pages}{name}.html")
    notebook = nbformat.read(env.doc2path(name), as_version=4)
    texts = [[] for _ in notebook.cells]
    spread(doctree, writer, texts)
    if name in LANGUAGES:
        texts = [[in_language(LANGUAGES[name], text) for text in words] for words in texts]
    path = Path(app.outdir).parent / FOLDER / f"{Path(name).name}.ipynb"
    path.parent.mkdir(exist_ok=True)
    nbformat.write(copied(notebook, texts, writer), path)


def setup(app):
    app.connect("doctree-resolved", write_copy, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
