"""The direction of imports: a package of the vault imports only from those below it, and there are no circles."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import layout

FUNCTIONS = Path(__file__).parent.parent / "functions"
HANDLERS = sorted(path.stem for path in FUNCTIONS.glob("*.py") if path.stem != "__init__")
MODULES = sorted(FUNCTIONS.rglob("*.py"))

# The packages of the vault from the lowest up, with the modules that put them together.
LAYERS = ("base", "grant", "provider", "oauth", "storage", "settings", "resources", "usecases", "services")
PACKAGES = [name for name in LAYERS if (FUNCTIONS / "vault" / name).is_dir()]
VAULT = sorted(path for path in (FUNCTIONS / "vault").rglob("*.py") if path.stem != "__init__")

# Modules that do I/O: AWS, the network, files, other processes.
IO = {"boto3", "botocore", "requests", "urllib3", "socket", "ssl", "os", "pathlib", "subprocess", "http.client"}
WITHOUT_IO = {"base", "grant", "provider"}
CONNECTING = {"outbound", "wire"}
"""The modules of `oauth` that open connections. The others get a transport passed in."""
SENDING = CONNECTING | {"authenticated_requests", "authentication", "client", "discovery", "issuer_keys"}
"""The modules of `oauth` that send requests, or authenticate them. The others decide, by values alone."""
FORMS = {"attributes", "connection_item", "due", "expression", "items", "listed", "sealing", "stream"}
"""The modules of `storage` that give values the form in which they are stored. The others call AWS."""

every_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(FUNCTIONS)))
every_vault_module = pytest.mark.parametrize("path", VAULT, ids=lambda path: str(path.relative_to(FUNCTIONS)))


def tree_of(path: Path) -> ast.Module:
    """Return a parsed module."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(path: Path) -> frozenset[str]:
    """Return the absolute names of everything that a module imports."""
    return layout.imports_of(path, path.relative_to(FUNCTIONS.parent).parent.parts)


def name_of(path: Path) -> str:
    """Return the absolute name of a module."""
    return ".".join(["functions", *path.relative_to(FUNCTIONS).with_suffix("").parts])


def layer_of(path: Path) -> str:
    """Return the package of the vault that a module is in."""
    return path.relative_to(FUNCTIONS / "vault").with_suffix("").parts[0]


def vault_imports_of(path: Path) -> set[Path]:
    """Return the modules of the vault that one of them imports."""
    imported = imports_of(path)
    return {other for other in VAULT if other != path and name_of(other) in imported}


def decides(path: Path) -> bool:
    """Return whether a module of the vault is only values and decisions."""
    layer = layer_of(path)
    return (
        layer in WITHOUT_IO
        or (layer == "oauth" and path.stem not in SENDING)
        or (layer == "storage" and path.stem in FORMS)
    )


def texts_of(tree: ast.Module) -> Iterator[str]:
    """Yield every string in a module's code. A string that is a statement by itself is a description, not code."""
    described = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in described:
            yield node.value


def test_every_module_of_the_vault_is_in_a_package() -> None:
    """A new module has to have a layer."""
    assert {layer_of(path) for path in VAULT} == set(LAYERS)


@pytest.mark.parametrize("package", ["web", *(f"vault/{name}" for name in PACKAGES)])
def test_every_package_says_in_a_few_lines_what_it_holds(package: str) -> None:
    """Its `__init__` says what is in it and what is not, and has no code."""
    tree = tree_of(FUNCTIONS / package / "__init__.py")

    assert [type(node) for node in tree.body] == [ast.Expr]
    assert 3 <= len((ast.get_docstring(tree) or "").splitlines()) <= 5


@every_vault_module
def test_imports_go_downward_only(path: Path) -> None:
    """No module imports from a package above its own, not even for types, or inside a function."""
    above = LAYERS[LAYERS.index(layer_of(path)) + 1 :]

    assert {name_of(other) for other in vault_imports_of(path) if layer_of(other) in above} == set()


@pytest.mark.parametrize("root", ["functions", "local"])
def test_no_modules_import_each_other_in_a_circle(root: str) -> None:
    """The modules inside a package can be understood one after the other, too."""
    assert layout.in_circles(layout.arrows(FUNCTIONS.parent / root)) == set()


@every_vault_module
def test_decisions_do_no_io(path: Path) -> None:
    """Values and decisions need no network, no files, no AWS and no environment."""
    if decides(path) or (layer_of(path) == "oauth" and path.stem not in CONNECTING):
        imported = imports_of(path)

        assert {name for name in imported if name in IO or name.partition(".")[0] in IO} == set()


@every_vault_module
def test_decisions_import_only_decisions(path: Path) -> None:
    """A package also holds modules that do I/O: the modules beside them that decide can be understood without them."""
    others = {name_of(other) for other in vault_imports_of(path) if not decides(other)}

    assert not decides(path) or others == set()


@every_vault_module
def test_the_vault_does_not_import_handlers_events_or_pages(path: Path) -> None:
    """Use cases could be called from anywhere: everything that they import of Gatehouse is in the vault."""
    ours = {name for name in imports_of(path) if name.partition(".")[0] == "functions"}

    assert {name for name in ours if name != "functions.vault" and not name.startswith("functions.vault.")} == set()


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_functions_module_imports_no_other_functions_module(handler: str) -> None:
    """It imports `web` and the vault. Pages are made by `web.replies` alone."""
    imported = imports_of(FUNCTIONS / f"{handler}.py")

    assert {name.split(".")[1] for name in imported if name.startswith("functions.")} <= {"web", "vault"}
    assert not any(name.startswith("functions.web.pages") for name in imported)


@every_module
def test_deployed_code_imports_only_deployed_code(path: Path) -> None:
    """The functions do not import the local stack, the tests or the examples."""
    roots = {name.partition(".")[0] for name in imports_of(path)}

    assert roots & {"local", "tests", "examples", "tools", "moto", "pytest"} == set()


@every_module
def test_only_settings_read_the_environment(path: Path) -> None:
    """Everything else gets its settings passed in."""
    reads = {
        node.attr
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv"}
    } | (imports_of(path) & {"os.environ", "os.environb", "os.getenv"})

    assert not reads or path == FUNCTIONS / "vault" / "settings.py"


@every_module
def test_code_never_asks_for_a_provider_by_name(path: Path) -> None:
    """Providers are data: no code has a provider's name, and none compares a name with a text."""
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


LOCAL = FUNCTIONS.parent / "local"
LOCAL_LAYERS = ("base", "demo", "aws", "gateway", "pages")
TOP = tuple(path.stem for path in LOCAL.glob("*.py") if path.stem != "__init__")
LOCAL_MODULES = sorted(path for path in LOCAL.rglob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("path", LOCAL_MODULES, ids=lambda path: str(path.relative_to(LOCAL)))
def test_the_local_stacks_imports_go_downward_only(path: Path) -> None:
    """Each of its packages imports only from those below it, and none imports what puts the stack together."""
    package = path.relative_to(LOCAL).parts[0]
    below = LOCAL_LAYERS[: LOCAL_LAYERS.index(package) + 1] if package in LOCAL_LAYERS else (*LOCAL_LAYERS, *TOP)
    roots = [f"local.{name}" for name in below]

    ours = {name for name in imports_of(path) if name.startswith("local.")}

    assert {name for name in ours if not any(name == root or name.startswith(f"{root}.") for root in roots)} == set()
