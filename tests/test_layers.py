"""The direction of imports: the floors that `functions/vault/__init__.py` writes down hold, and nothing looks up."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from functions import vault

FUNCTIONS = Path(__file__).parent.parent / "functions"
SHARED = {"__init__", "edge", "log", "pages", "replies"}
DOORS = sorted(path.stem for path in FUNCTIONS.glob("*.py") if path.stem not in SHARED)
MODULES = sorted(FUNCTIONS.rglob("*.py"))
VAULT = sorted(path.stem for path in (FUNCTIONS / "vault").glob("*.py") if path.stem != "__init__")
IO = {"boto3", "botocore", "requests", "urllib3", "socket", "ssl", "os", "pathlib", "subprocess", "http.client"}

every_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(FUNCTIONS)))


def tree_of(path: Path) -> ast.Module:
    """Return a module, parsed."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(path: Path) -> set[str]:
    """Return the absolute names of all that a module imports, for types alone or late inside a function included."""
    package = ["functions", *path.relative_to(FUNCTIONS).parent.parts]
    found: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            found |= {origin} | {f"{origin}.{alias.name}" for alias in node.names}
    return found


def vault_imports_of(module: str) -> set[str]:
    """Return the modules of the vault that one of them imports."""
    imported = imports_of(FUNCTIONS / "vault" / f"{module}.py")
    return {name for name in VAULT if f"functions.vault.{name}" in imported}


def floors() -> dict[str, int]:
    """Return the floor of each module, as the vault's own description has it; parentheses there are explanations."""
    description = re.sub(r"\([^)]*\)", "", vault.__doc__ or "")
    found: dict[str, int] = {}
    for number, text in re.findall(r"^Floor (\d)(.*?)\.$", description, re.DOTALL | re.MULTILINE):
        for name in set(re.findall(r"\w+", text)) & set(VAULT):
            assert name not in found, f"{name} is on two floors"
            found[name] = int(number)
    return found


def texts_of(tree: ast.Module) -> Iterator[str]:
    """Give every string in a module's code; a string that is a statement by itself is a description, not code."""
    described = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in described:
            yield node.value


def test_every_module_of_the_vault_has_its_floor() -> None:
    """A new module must be given a place before it can be imported anywhere."""
    assert sorted(floors()) == VAULT


@pytest.mark.parametrize("module", VAULT)
def test_imports_go_downward_only(module: str) -> None:
    """No module imports from a floor above its own."""
    floor = floors()

    above = {name for name in vault_imports_of(module) if floor[name] > floor[module]}

    assert above == set()


def test_no_modules_of_one_floor_import_each_other_in_a_circle() -> None:
    """On one floor, too, there is an order in which the modules can be understood one after the other."""
    waiting = {module: vault_imports_of(module) for module in VAULT}

    while ready := [module for module, imported in waiting.items() if not imported & waiting.keys()]:
        for module in ready:
            del waiting[module]

    assert waiting == {}


@pytest.mark.parametrize("module", sorted(name for name, floor in floors().items() if floor == 0))
def test_the_lowest_floor_touches_nothing_outside(module: str) -> None:
    """Floor 0 is values and decisions: no network, no files, no AWS, no environment."""
    imported = imports_of(FUNCTIONS / "vault" / f"{module}.py")

    assert {name for name in imported if name in IO or name.partition(".")[0] in IO} == set()


@pytest.mark.parametrize("module", VAULT)
def test_the_vault_knows_nothing_of_doors_events_or_pages(module: str) -> None:
    """Use cases could be called from anywhere: all that they import of Gatehouse is in the vault."""
    imported = imports_of(FUNCTIONS / "vault" / f"{module}.py")

    ours = {name for name in imported if name.partition(".")[0] == "functions"}

    assert {name for name in ours if name != "functions.vault" and not name.startswith("functions.vault.")} == set()


@pytest.mark.parametrize("door", DOORS)
def test_a_door_opens_only_into_the_house(door: str) -> None:
    """A door imports the edge, the replies and the vault; never another door."""
    imported = imports_of(FUNCTIONS / f"{door}.py")

    assert {name for name in imported for other in DOORS if f"functions.{other}" in name} == set()
    assert {name.split(".")[1] for name in imported if name.startswith("functions.")} <= {
        "edge",
        "replies",
        "vault",
    }


@every_module
def test_what_is_deployed_imports_nothing_that_is_not(path: Path) -> None:
    """The local stack, the tests and the examples stay out of the functions."""
    roots = {name.partition(".")[0] for name in imports_of(path)}

    assert roots & {"local", "tests", "examples", "tools", "moto", "pytest"} == set()


@every_module
def test_only_settings_read_the_environment(path: Path) -> None:
    """One module turns the environment into the house; everything else is given what it needs."""
    reads = {
        node.attr
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv"}
    } | (imports_of(path) & {"os.environ", "os.environb", "os.getenv"})

    assert not reads or path == FUNCTIONS / "vault" / "settings.py"


@every_module
def test_code_never_asks_for_a_provider_by_name(path: Path) -> None:
    """Providers are data: no code holds a provider's name, and none compares one with a text."""
    tree = tree_of(path)
    known = {file.stem for file in (FUNCTIONS / "providers").glob("*.toml")}

    assert known
    assert [text for text in texts_of(tree) if any(name in text.lower() for name in known)] == []
    assert [ast.unparse(node) for node in ast.walk(tree) if _compares_a_provider_with_a_text(node)] == []


def _compares_a_provider_with_a_text(node: ast.AST) -> bool:
    if not isinstance(node, ast.Compare):
        return False
    sides = [node.left, *node.comparators]
    texts = any(isinstance(part, ast.Constant) and isinstance(part.value, str) for part in sides)
    return texts and any(
        ast.unparse(side) == "provider" or ast.unparse(side).endswith("provider.name") for side in sides
    )
