"""Messages as the sources have them: read from the syntax trees, with a name for what is inserted.

Nothing is imported: adapters of programs that are not installed are read like everything else.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from xcnet import errors

ROOT = Path(__file__).resolve().parents[2]
#: What stands before and after the name of an inserted value.
OPEN, CLOSE = "⟨", "⟩"

CLASSES = tuple(
    name
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, errors.XCNetError)
)


@dataclass(frozen=True)
class Site:
    """A place where an error is made: module, name of the class, and what its message can be."""

    module: str
    line: int
    error: str
    messages: tuple[str, ...]


@dataclass(frozen=True)
class Module:
    """A source file: dotted name and syntax tree."""

    name: str
    tree: ast.Module

    def function(self, name: str) -> ast.FunctionDef | None:
        """Function of this name, wherever it is defined."""
        functions = (n for n in ast.walk(self.tree) if isinstance(n, ast.FunctionDef))
        return next((f for f in functions if f.name == name), None)


@cache
def modules() -> tuple[Module, ...]:
    """All modules of the package."""
    sources = []
    for folder, package in (("xcnet", "xcnet"), ("adapters", "xcnet.adapters")):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            name = ".".join([package, *parts]).removesuffix(".__init__")
            sources.append(Module(name, ast.parse(path.read_text(encoding="utf-8"))))
    return tuple(sources)


@cache
def sites(*names: str) -> tuple[Site, ...]:
    """Every call of something with one of these names, with the message in its first argument."""
    return tuple(
        Site(module.name, call.lineno, called(call), _of_call(call, module))
        for module in modules()
        for call in ast.walk(module.tree)
        if isinstance(call, ast.Call) and called(call) in names
    )


def called(call: ast.Call) -> str:
    """Name of the function that is called, without its module."""
    function = call.func
    if isinstance(function, ast.Attribute):
        # argparse has an ArgumentTypeError too.
        return "" if ast.unparse(function.value) == "argparse" else function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _of_call(call: ast.Call, module: Module) -> tuple[str, ...]:
    if not call.args:
        return ()
    texts = templates(call.args[0], module, _scopes(module).get(id(call)))
    whole = (" ".join(_CONVERSION.sub(f"{OPEN}…{CLOSE}", text).split()) for text in texts)
    return tuple(dict.fromkeys(whole))


@cache
def _scopes(module: Module) -> dict[int, ast.FunctionDef]:
    """Innermost function of each call, by the call's identity."""
    functions = (n for n in ast.walk(module.tree) if isinstance(n, ast.FunctionDef))
    return {id(n): f for f in functions for n in ast.walk(f) if isinstance(n, ast.Call)}


def templates(node: ast.expr, module: Module, scope: ast.FunctionDef | None) -> Iterator[str]:
    """What a text can be, inserted values being ``⟨name⟩``."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(_piece(part, module) for part in node.values)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        for left in templates(node.left, module, scope):
            for right in templates(node.right, module, scope):
                yield left + right
    elif isinstance(node, ast.IfExp):
        yield from templates(node.body, module, scope)
        yield from templates(node.orelse, module, scope)
    elif isinstance(node, ast.Name) and scope and (values := _assigned(node, scope.body)):
        for value in values:
            yield from templates(value, module, scope)
    elif isinstance(node, ast.Call) and (helper := module.function(called(node))):
        yield from _returned(helper, module)
    else:
        yield f"{OPEN}{_name(node)}{CLOSE}"


def _returned(helper: ast.FunctionDef, module: Module) -> Iterator[str]:
    """Texts that a function returns."""
    for statement in ast.walk(helper):
        if isinstance(statement, ast.Return) and statement.value is not None:
            yield from templates(statement.value, module, helper)


def _assigned(name: ast.Name, body: Sequence[ast.stmt]) -> list[ast.expr]:
    """Texts that a variable can have where it is used: from the last assignments before that."""
    for statement in reversed([s for s in body if s.lineno <= name.lineno]):
        inside = [
            value
            for part in ("body", "orelse", "finalbody", "handlers")
            if name.lineno <= (statement.end_lineno or 0)
            for value in _assigned(name, getattr(statement, part, ()))
        ]
        before = [
            node.value
            for node in ast.walk(statement)
            if isinstance(node, ast.Assign)
            and (node.end_lineno or 0) < name.lineno
            and not isinstance(node.value, ast.Name)
            and any(isinstance(t, ast.Name) and t.id == name.id for t in node.targets)
        ]
        if inside or before:
            return inside or before
    return []


def _piece(part: ast.expr, module: Module) -> str:
    if not isinstance(part, ast.FormattedValue):
        return str(part.value) if isinstance(part, ast.Constant) else ""
    constant = None
    if isinstance(part.value, ast.Name):
        constant = _constants(module).get(part.value.id)
    text = f"{OPEN}{_name(part.value)}{CLOSE}" if constant is None else constant
    return f"'{text}'" if part.conversion == ord("r") else text


@cache
def _constants(module: Module) -> dict[str, str]:
    """Constant texts and numbers of a module, and those that it imports from another one."""
    constants = dict(_own_constants(module))
    for node in module.tree.body:
        if isinstance(node, ast.ImportFrom):
            source = next((m for m in modules() if m.name == node.module), None)
            known = _own_constants(source) if source else {}
            constants |= {a.asname or a.name: known[a.name] for a in node.names if a.name in known}
    return constants


@cache
def _own_constants(module: Module) -> dict[str, str]:
    return {
        target.id: str(node.value.value)
        for node in module.tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


#: Words of variables -> words of readers.
_READABLE = {
    "entry": "functional",
    "self": "number",
    "spec": "functional",
    "strerror": "reason",
    "xc func name": "functional",
}


def _name(node: ast.expr) -> str:
    """Short name of an inserted value: its last word, or its function's."""
    if isinstance(node, ast.Name):
        return _words(node.id)
    if isinstance(node, ast.Attribute):
        whole = node.attr in ("name", "text", "stem") and ast.unparse(node.value) != "self"
        if node.attr in _OF_OBJECTS:
            return _OF_OBJECTS[node.attr]
        return _name(node.value) if whole else _words(node.attr)
    if isinstance(node, ast.Call):
        return _name_of_call(node)
    if isinstance(node, (ast.Subscript, ast.Starred)):
        return _name(node.value)
    if isinstance(node, ast.BinOp):
        return _name(node.left if isinstance(node.op, ast.Mult) else node.right)
    if isinstance(node, ast.BoolOp):
        return _name(node.values[0])
    if isinstance(node, (ast.GeneratorExp, ast.ListComp)):
        return _name(node.generators[0].iter)
    return "…"


#: Attributes that say more than the name of the object.
_OF_OBJECTS = {"__name__": "type", "message": "reason"}
#: Methods that give another form of the same.
_SAME = ("decode", "resolve", "rstrip", "strip", "tolist", "upper")


def _words(name: str) -> str:
    words = name.strip("_").lower().replace("_", " ")
    return _READABLE.get(words, words)


def _name_of_call(node: ast.Call) -> str:
    function = called(node)
    if function in ("join", "map", "getattr") and node.args:
        return _name(node.args[-1])
    if function in ("str", "list", "sorted", "repr", "len", "int", "sum", "set") and node.args:
        return _name(node.args[0])
    if isinstance(node.func, ast.Attribute) and function in _SAME:
        return _name(node.func.value)
    return function.strip("_").replace("_", " ")


_FAIL = re.compile(r"\bfail\(((?:[^;\"]|\"(?:[^\"\\]|\\.)*\")*?)\);", re.DOTALL)
_TOKEN = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|([,:])")
_CONVERSION = re.compile(r"%(?:zu|d|s)")


def of_library() -> tuple[str, ...]:
    """Messages of the C library, which it prints on standard error."""
    texts = [
        text
        for path in sorted((ROOT / "adapters" / "libxc").glob("*.c"))
        for call in _FAIL.findall(path.read_text(encoding="utf-8"))
        for text in _formats(call)
    ]
    return tuple(dict.fromkeys(_CONVERSION.sub(f"{OPEN}…{CLOSE}", text) for text in texts))


def _formats(arguments: str) -> list[str]:
    """Formats in the first of C's arguments, which may choose between two."""
    texts = [""]
    for token in _TOKEN.finditer(arguments):
        if token[2] == ",":
            break
        if token[2] == ":":
            texts.append("")
        else:
            texts[-1] += token[1]
    return [text for text in texts if text not in ("", "%s")]
