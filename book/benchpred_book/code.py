"""Keys of code: what a stored result was made by, in one word, so that a change of it is noticed.

The walk is by definitions, pairs of a module and a function, class or constant of it: from those
that some code names to those that they name.  A change elsewhere leaves the key as it is.  A class
is one definition, with its methods; each row of METHODS is one by itself, ``METHODS[name]``.
"""

import ast
import hashlib
from functools import cache
from importlib.util import find_spec, resolve_name
from pathlib import Path

__all__ = ["key", "reached"]

PACKAGES = ("benchpred_utils", "benchpred_book")
TABLE = "METHODS"
DOCUMENTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def reached(code="", names=(), methods=None):
    """The definitions of the two packages that `code` and `names` need, directly or not, sorted.

    A name is ``module.definition``, or a module for all that it defines; what needs the table
    METHODS needs its rows `methods` (default: all).  Imports count wherever they stand, and a name
    that a package passes on is that of the module which defines it.
    Raises ValueError when there is no such name.
    """
    tree = ast.parse(code)
    waiting = {need for _, need in _uses([tree], "", {}, _aliases(tree, ""))}
    for name in names:
        meant = _meaning(*name.rpartition(".")[::2])
        if not any(_is_ours(need) for need in meant):
            raise ValueError(f"the packages do not define {name!r}")
        waiting |= meant
    rows = [f"{TABLE}[{method}]" for method in methods or ()]
    found = set()
    while waiting:
        need = waiting.pop()
        is_wanted = methods is None or need[1] in rows or not need[1].startswith(f"{TABLE}[")
        if _is_ours(need) and is_wanted:
            found.add(need)
            waiting |= _definition(*need)[1] - found
    return sorted(found)


def key(definitions):
    """The sha256 of the code of `definitions`; comments, docstrings and layout do not count.

    Files in the folder ``facts`` beside a module do, but for the manifest of the data sets: what a
    result takes of it is in the key of its data.
    """
    digest = hashlib.sha256()
    for module, name in definitions:
        digest.update(f"{module} {name} {_definition(module, name)[0]}\n".encode())
    for folder in sorted({_path(module).parent / "facts" for module, _ in definitions}):
        for path in sorted(folder.glob("*.*")):
            if path.name != "manifest.json":
                digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


# --- a module -------------------------------------------------------------------------------------


def _path(module):
    """The file of a module, found without importing anything but its top package."""
    package, *rest = module.split(".")
    path = Path(find_spec(package).origin).parent.joinpath(*rest)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _is_package(module):
    return _path(module).name == "__init__.py"


@cache
def _module(module):
    """The definitions of a module, {name: its statements}, and its imports (see `_aliases`).

    They are as they were when first asked for: code may change while chapters run.  What defines
    nothing, as a call, belongs to every definition, and to that named "", the module as a whole.
    """
    path = _path(module)
    tree = ast.parse(path.read_text(encoding="utf-8") if path.exists() else "")
    definitions = {"": []}
    for statement in tree.body:
        is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if not is_text and not isinstance(statement, (ast.Import, ast.ImportFrom)):
            for name, part in _parts(statement):
                definitions.setdefault(name, []).append(part)
    for name in definitions.keys() - {""}:
        definitions[name] += definitions[""]
    return definitions, _aliases(tree, module if _is_package(module) else module.rpartition(".")[0])


def _parts(statement):
    """The pairs (name, syntax tree) that a top-level statement defines: the table, row by row."""
    if isinstance(statement, DOCUMENTED):
        return [(statement.name, statement)]
    if not isinstance(statement, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
        return [("", statement)]
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    names = {node.id for t in targets for node in ast.walk(t) if isinstance(node, ast.Name)}
    table = statement.value
    if names == {TABLE} and isinstance(table, ast.Dict) and None not in table.keys:
        rows = [f"{TABLE}[{ast.literal_eval(method)}]" for method in table.keys]
        return [(TABLE, targets[0]), *zip(rows, table.values)]
    return [(name, statement) for name in names]


def _aliases(tree, package):
    """What imports bind, {name: pairs of a module and a name in it, "" for the module itself}."""
    aliases = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                top = name.name.partition(".")[0]
                meant = (name.name if name.asname else top, "")
                aliases.setdefault(name.asname or top, set()).add(meant)
        elif isinstance(node, ast.ImportFrom):
            source = resolve_name("." * node.level + (node.module or ""), package)
            for name in node.names:
                aliases.setdefault(name.asname or name.name, set()).add((source, name.name))
    return aliases


# --- a definition ---------------------------------------------------------------------------------


def _is_ours(need):
    return need[0].split(".")[0] in PACKAGES


@cache
def _definition(module, name):
    """The key of a definition by itself, and the definitions that it needs."""
    definitions, aliases = _module(module)
    uses = _uses(definitions[name], module, definitions, aliases)
    content = [*map(_plain, definitions[name]), *map(repr, sorted(uses))]
    needs = {need for _, need in uses}
    if name == TABLE:
        needs |= {(module, row) for row in definitions if row.startswith(f"{TABLE}[")}
    if not name:
        needs |= {need for other in (*definitions, *aliases) for need in _meaning(module, other)}
    return hashlib.sha256("\n".join(content).encode()).hexdigest(), needs


def _uses(trees, module, definitions, aliases):
    """The names in syntax trees that stand for definitions, with these: {(as written, need)}."""

    def meant(node):
        if isinstance(node, ast.Name):
            own = {(module, node.id)} if node.id in definitions else set()
            return own.union(*(_meaning(*alias) for alias in aliases.get(node.id, ())))
        if isinstance(node, ast.Attribute):
            of = meant(node.value)
            return set().union(*({n} if n[1] else _meaning(n[0], node.attr) for n in of))
        return set()

    found = set()
    waiting = [*trees]
    while waiting:
        node = waiting.pop()
        needs = meant(node)
        found |= {(ast.unparse(node), need) for need in needs}
        waiting += [] if needs else ast.iter_child_nodes(node)
    return found


def _meaning(module, name):
    """The definitions that a name of a module stands for; ("numpy", "mean") outside ours."""
    if not name or not _is_ours((module, name)):
        return {(module, name)}
    definitions, aliases = _module(module)
    if name in definitions:
        return {(module, name)}
    if _path(f"{module}.{name}").exists():
        return {(f"{module}.{name}", "")}
    if name in aliases:
        return set().union(*(_meaning(*alias) for alias in aliases[name]))
    # What a package gets only when it is asked for, a package in it has.
    inner = _path(module).parent.glob("*/__init__.py") if _is_package(module) else ()
    return set().union(*(_meaning(f"{module}.{file.parent.name}", name) for file in inner))


def _plain(node):
    """A syntax tree as text, without docstrings and empty fields, in which Pythons differ."""
    if isinstance(node, list):
        return f"[{' '.join(map(_plain, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = dict(ast.iter_fields(node))
    if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
        fields["body"] = node.body[1:]
    kept = {name: value for name, value in fields.items() if value not in (None, [])}
    return f"{type(node).__name__}({' '.join(f'{n}={_plain(v)}' for n, v in kept.items())})"
