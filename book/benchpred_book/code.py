"""Keys of code: what a stored result was made by, in one word, so that a change of it is noticed.

The walk is by modules: from the names that some code imports and uses to the modules that define
them, and from those to what they import.  A change elsewhere leaves the key as it is.
"""

import ast
import hashlib
import re
from functools import cache
from importlib.util import find_spec, resolve_name
from pathlib import Path

__all__ = ["key", "reached"]

PACKAGES = ("benchpred_utils", "benchpred_book")


def reached(code="", modules=()):
    """The modules of the two packages that `code` and `modules` need, directly or not, sorted.

    A module's ``import`` and ``from`` lines count wherever they stand, and so do the attributes of
    an imported package: ``bp.METHODS`` needs the module that defines METHODS.
    """
    found = set()
    waiting = {*modules, *_needed(ast.parse(code), "")}
    while waiting:
        module = waiting.pop()
        found.add(module)
        package = module if _path(module).name == "__init__.py" else module.rpartition(".")[0]
        waiting |= _needed(_tree(module), package) - found
    return sorted(found)


def key(modules):
    """The sha256 of the code of `modules`; comments, docstrings and layout do not count.

    Files in the folder ``facts`` beside a module do, but for the manifest of the data sets: what a
    result takes of it is in the key of its data.
    """
    digest = hashlib.sha256()
    for module in modules:
        digest.update(f"{module} {_module_key(module)}\n".encode())
    for folder in sorted({_path(module).parent / "facts" for module in modules}):
        for path in sorted(folder.glob("*.*")):
            if path.name != "manifest.json":
                digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


@cache
def _module_key(module):
    """The key of one module as it was when first asked for: code may change while chapters run."""
    tree = _tree(module)
    for node in ast.walk(tree):
        documented = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        if documented and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    # What versions of Python print differently: empty lists, and with them the commas.
    words = re.sub(r"\w+=\[\]|, ", "", ast.dump(tree))
    return hashlib.sha256(words.encode()).hexdigest()


def _path(module):
    """The file of a module, found without importing anything but its top package."""
    package, *rest = module.split(".")
    path = Path(find_spec(package).origin).parent.joinpath(*rest)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _text(module):
    return _path(module).read_text(encoding="utf-8")


def _tree(module):
    return ast.parse(_text(module))


def _needed(tree, package):
    """The modules that define what a syntax tree imports from the packages, and uses of them."""
    aliases = {}
    needed = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            aliases |= {name.asname or name.name: name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            source = resolve_name("." * node.level + (node.module or ""), package)
            for name in node.names:
                needed |= _defining(source, name.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            needed |= _defining(aliases.get(node.value.id, ""), node.attr)
    return needed


def _defining(source, name):
    """The modules that define `name` of the module or package `source`: its own, or below it."""
    path = _path(source) if source.split(".")[0] in PACKAGES else None
    if path is None or path.name != "__init__.py":
        return {source} if path else set()
    if _path(f"{source}.{name}").exists():
        return {f"{source}.{name}"}
    files = [file.relative_to(path.parent).with_suffix("") for file in path.parent.rglob("*.py")]
    modules = [".".join([source, *file.parts]) for file in files if file.name != "__init__"]
    defined = re.compile(rf"^(def |class )?{name}\b( =|: |\()", re.MULTILINE)
    return {module for module in modules if defined.search(_text(module))}
