"""Finds what a script imports before it does anything else, from its source and without running it."""

import ast
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401


def certain_imports(source, script, module=None):
    # type: (str, str, str | None) -> list[str]
    """The library modules that `script`, a path below the folder `source`, is certain to import first.

    With `module`, the name of that file as a module, its parent packages are imported before it.

    The list ends at the first statement that may change how later imports behave, such as setting an environment
    variable. Modules of the source folder are not listed, but their own imports are, by the same rule.
    """
    path = os.path.join(source, script)
    if module is None:
        reader = _Reader(os.path.dirname(os.path.realpath(path)))
        reader.read(path, package="")
        return reader.names
    parents = module.split(".")[:-1]
    reader = _Reader(os.path.realpath(source))
    if all(reader.read_package(parents[: count + 1]) for count in range(len(parents))):
        reader.read(path, package=".".join(parents))
    return reader.names


class _Reader(object):
    """Follows the imports of a script through its own modules, in the order of execution."""

    def __init__(self, folder):
        # type: (str) -> None
        self.names = []  # type: list[str]
        self._folder = folder
        self._seen = set()  # type: set[str]

    def read(self, path, package):
        # type: (str, str) -> bool
        """Read one file of the source; False if later imports must be ignored."""
        if path in self._seen:
            return True
        self._seen.add(path)
        try:
            with open(path, "rb") as stream:
                body = ast.parse(stream.read(), path).body
        except (OSError, SyntaxError, ValueError, RecursionError):
            return False
        return all(self._read_statement(statement, package) for statement in body)

    def _read_statement(self, statement, package):
        # type: (ast.stmt, str) -> bool
        if isinstance(statement, ast.Import):
            return all(self._import(alias.name) for alias in statement.names)
        if isinstance(statement, ast.ImportFrom):
            return self._import_from(statement, package)
        return _is_harmless(statement)

    def _import_from(self, statement, package):
        # type: (ast.ImportFrom, str) -> bool
        module = statement.module or ""
        if statement.level:
            parents = package.split(".")[: len(package.split(".")) - statement.level + 1] if package else []
            module = ".".join([part for part in parents if part] + ([module] if module else []))
            if not module:
                return False
        if module == "__future__":
            return True
        if not self._import(module):
            return False
        for alias in statement.names:
            # It may be a submodule, or a name that a lazy package imports on access: only importing it tells.
            if alias.name != "*" and not self._import(module + "." + alias.name):
                return False
        return True

    def _import(self, name):
        # type: (str) -> bool
        parts = name.split(".")
        if not self._is_local(parts[0]):
            if name not in self.names:
                self.names.append(name)
            return True
        return all(self.read_package(parts[: count + 1]) for count in range(len(parts)))

    def _is_local(self, name):
        # type: (str) -> bool
        path = os.path.join(self._folder, name)
        return os.path.isfile(path + ".py") or os.path.isdir(path)

    def read_package(self, parts):
        # type: (list[str]) -> bool
        path = os.path.join(self._folder, *parts)
        if os.path.isfile(os.path.join(path, "__init__.py")):
            return self.read(os.path.join(path, "__init__.py"), package=".".join(parts))
        if os.path.isfile(path + ".py"):
            return self.read(path + ".py", package=".".join(parts[:-1]))
        return True  # a folder without code, or a name within a module


def _is_harmless(statement):
    # type: (ast.AST) -> bool
    """Whether a statement cannot affect a later import."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
        signature = [statement.args] + ([statement.returns] if statement.returns else [])
        return not statement.decorator_list and not any(map(_calls, signature))
    if isinstance(statement, ast.ClassDef):
        bases = statement.bases + [keyword.value for keyword in statement.keywords]
        return not statement.decorator_list and not any(map(_calls, bases)) and all(map(_is_harmless, statement.body))
    if isinstance(statement, ast.Assign):
        return all(isinstance(target, ast.Name) for target in statement.targets) and not _calls(statement.value)
    if isinstance(statement, ast.AnnAssign):
        return isinstance(statement.target, ast.Name) and not _calls(statement)
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    return isinstance(statement, ast.Pass)


def _calls(node):
    # type: (ast.AST) -> bool
    """Whether evaluating `node` may run any code: a call, or an expression that implies one."""
    calling = (ast.Call, ast.Await, ast.Yield, ast.YieldFrom, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
    return any(isinstance(part, calling) for part in ast.walk(node))
