"""Keys: what a stored result was made from, in one word, so that it is known when it no longer belongs."""

import ast
import hashlib
from pathlib import Path

__all__ = ["code_key", "needed_modules"]

PACKAGE = Path(__file__).parent


def code_key(package=PACKAGE, modules=None):
    """The sha256 of the code of `modules` of a package, or of all: comments, docstrings and layout do not count.

    The files in its folder ``facts`` do.
    """
    package = Path(package)
    paths = (
        package.rglob("*.py")
        if modules is None
        else (package / f"{module}.py" for module in modules)
    )
    digest = hashlib.sha256()
    for path in sorted(paths):
        tokens = " ".join(_tokens(ast.parse(path.read_text(encoding="utf-8"))))
        digest.update(f"{path.relative_to(package).as_posix()}\0{tokens}\0".encode())
    for path in sorted((package / "facts").glob("*")):
        if path.is_file():
            digest.update(
                f"facts/{path.name}\0".encode() + hashlib.sha256(path.read_bytes()).digest()
            )
    return digest.hexdigest()


def needed_modules(module, package=PACKAGE):
    """The modules of a package that `module` imports, directly or not, and itself: a sorted list of names."""
    needed, waiting = set(), [module]
    while waiting:
        needed.add(name := waiting.pop())
        for node in ast.walk(ast.parse((Path(package) / f"{name}.py").read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                names = [node.module] if node.module else [alias.name for alias in node.names]
                waiting += [name for name in names if name not in needed]
    return sorted(needed)


def _tokens(node):
    """Walk a syntax tree into words that are the same under every version of Python (which ``ast.dump`` is not)."""
    if isinstance(node, ast.AST):
        yield "(" + type(node).__name__
        for name, value in sorted(ast.iter_fields(node)):
            if name == "body" and _has_docstring(node):
                value = value[1:]
            # Newer versions add fields, empty where the code has no use for them.
            if value is not None and value != [] and name not in ("ctx", "kind", "type_comment"):
                yield name
                yield from _tokens(value)
        yield ")"
    elif isinstance(node, list):
        yield "["
        for item in node:
            yield from _tokens(item)
        yield "]"
    else:
        yield repr(node)


def _has_docstring(node):
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None
