"""Once, after the fork: its name, its domain, and what is in app/. That is the demo, or a small beginning, or another
application. Then this folder goes.

Usage: init.py name=shop domain=shop.example demo=keep, or demo=drop, or from=FOLDER-OR-GIT-ADDRESS [package=PACKAGE].
On a terminal it asks for what is missing.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ANSWERS = dict(word.partition("=")[::2] for word in sys.argv[1:])
APP, STARTER = Path("app"), Path("starter")
NAME, DOMAIN = r"[a-z0-9][a-z0-9_-]*", r"[a-z0-9][a-z0-9.-]*"
# What in the demo is about none of its features: the status page, the look, how migrations are run.
KEPT = ["status.py", "packages.txt", "public", "static/logo.svg", "static/style.css", "templates/error.html"]
KEPT += ["templates/status.html", "migrations/env.py", "migrations/script.py.mako"]
ABOUT_THE_TEMPLATE = ["test_init.py", "test_readme.py"]
NOT_COPIED = shutil.ignore_patterns(".git", ".env", ".venv", "venv", "node_modules", "__pycache__", "*.pyc", "instance")
# What the platform looks for in the module that APP_MODULE names.
FACTORY = re.compile(
    r"^(def (create|make)_app\b|(app|application)\b[^=\n]*= |from .* import .*\b(create|make)_app\b)", re.M
)
REQUIREMENTS = [
    "requirements.in",
    "requirements.txt",
    "requirements/prod.txt",
    "requirements/base.txt",
    "pyproject.toml",
]
UPGRADE = "[sh, -c, flask wait-for-database && exec flask db upgrade --directory app/migrations]"


def main():
    os.chdir(Path(__file__).parents[1])
    if run("git", "status", "--porcelain"):
        fail("there are changes without a commit. Commit them first: then git can undo this.")
    folder = re.sub(r"[^a-z0-9_-]+", "-", Path.cwd().name.lower()).strip("-_")
    name = answer("name", "Its name, in small letters?", folder or None, NAME)
    domain = answer("domain", "Its domain?", "localhost", DOMAIN)
    source = ANSWERS.get("from") or answer(
        "demo", "The demo: keep, drop, or the folder or git address of an application to take its place?", "keep", r".+"
    )
    if source == "drop":
        drop_demo()
    elif source != "keep":
        with tempfile.TemporaryDirectory() as folder:
            move_in(fetch(source, Path(folder, "source")), ANSWERS.get("package"))
    set_line(APP / ".env.example", "PROJECT_NAME", name)
    set_line(APP / ".env.example", "DOMAIN", domain)
    if Path(".env").exists():
        set_line(Path(".env"), "PROJECT_NAME", name)
        set_line(Path(".env"), "DOMAIN", domain)
    fill_in(STARTER / "README.md", Path("README.md"), name=name, domain=domain)
    shutil.rmtree(STARTER)
    for file in ABOUT_THE_TEMPLATE:
        Path("tests/unit", file).unlink()
    say("name", f"{name}, at {domain}: app/.env.example" + (", .env" if Path(".env").exists() else ""))
    say("README.md", "is your own now")
    if source not in ("keep", "drop"):
        call("make", "lock")
    call("make", "lint")
    say("then", "make up, make test; and git add --all && git commit")


def say(what, text):
    print(f"{what:<9} {text}", flush=True)


def fail(*lines):
    sys.exit("\n".join(f"init: {line}" for line in lines))


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        fail(f"`{' '.join(command)}` failed, nothing has changed.")
    return done.stdout


def call(*command):
    """A task whose output is for the person. What it finds wrong is theirs to mend: app/ is as it shall be."""
    say("now", " ".join(command))
    if subprocess.run(command, check=False).returncode:
        fail(f"`{' '.join(command)}` failed, see above. All else is done: mend that in app/, then try it again.")


def answer(name, question, default, pattern):
    given = ANSWERS.get(name)
    if not given and sys.stdin.isatty():
        given = input(f"{question} [{default}] ").strip() or default
    if not given and name == "name":
        fail("what is it called? For example: make init name=shop domain=shop.example demo=drop")
    given = given or default
    if not re.fullmatch(pattern, given):
        fail(f"the {name} '{given}' is not of the form {pattern}")
    return given


def set_line(file, name, value):
    """NAME=value in a file of settings, in the place of a line that is there."""
    text, replaced = re.subn(rf"^{name}=.*$", f"{name}={value}", file.read_text(), flags=re.M)
    file.write_text(text if replaced else f"{text}{name}={value}\n")


def fill_in(template, file, **values):
    file.write_text(re.sub(r"@(\w+)@", lambda match: values[match[1]], template.read_text()))


def copy(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=NOT_COPIED, dirs_exist_ok=True)
    else:
        shutil.copy(source, target)


def drop_demo():
    for name in KEPT:
        copy(APP / name, STARTER / "app" / name)
    shutil.rmtree(APP)
    (STARTER / "app").rename(APP)
    say("app/", "a small beginning: a page, its test, and room for the rest")


def fetch(source, target):
    """The folder, or what a git address has, as a copy that may be changed."""
    if Path(source).expanduser().is_dir():
        copy(Path(source).expanduser(), target)
    else:
        run("git", "clone", "--quiet", "--depth", "1", source, str(target))
    return target


def move_in(source, package):
    """What is in the folder `source` becomes app/."""
    root = source / "src" if not candidates(source) and (source / "src").is_dir() else source
    main = choose(root, package)
    needed = requirements(source)
    packages_txt = (APP / "packages.txt").read_text()
    shutil.rmtree(APP)
    if main.is_dir():
        copy(main, APP)
    else:  # a single module, and what Flask looks for beside it
        copy(main, APP / "__init__.py")
        for name in ("templates", "static"):
            if (root / name).is_dir():
                copy(root / name, APP / name)
    if not (APP / "migrations").exists() and (source / "migrations").is_dir():
        copy(source / "migrations", APP / "migrations")
    look_at = rewrite_imports(root, main)

    for name in (".env.example", "nginx/login-addresses.conf", "requirements.txt"):
        copy(STARTER / "app" / name, APP / name)
    (APP / "requirements.in").write_text((STARTER / "app/requirements.in").read_text() + needed)
    if not (APP / "services.yaml").exists():
        migrate = UPGRADE if (APP / "migrations").exists() else '["true"]'
        fill_in(STARTER / "services.yaml", APP / "services.yaml", module=entry(), migrate=migrate)
    if not (APP / "packages.txt").exists():
        (APP / "packages.txt").write_text(packages_txt)
    if not list(APP.glob("*ruff.toml")):
        (APP / "ruff.toml").write_text('# Its style is its own.\nexclude = ["*"]\n')
    for folder in (APP / "public", APP / "static"):
        folder.mkdir(exist_ok=True)
        if not list(folder.iterdir()):
            (folder / ".gitkeep").touch()
    say("app/", f"is {main.relative_to(source)} now")
    say(
        "look at",
        "app/services.yaml: what runs beside it (worker, clock, migrations), and its secrets. docs/your-app.md",
    )
    say("look at", "app/nginx/login-addresses.conf: name the addresses there at which somebody may try passwords")
    for line in look_at:
        say("look at", line)


def candidates(root):
    """Packages and, where there is none, modules that make a Flask application."""
    packages = [folder for folder in sorted(root.iterdir()) if (folder / "__init__.py").exists()]
    packages = [folder for folder in packages if any("Flask(" in file.read_text() for file in folder.rglob("*.py"))]
    packages = [folder for folder in packages if not folder.name.startswith("test")]
    return packages or [file for file in sorted(root.glob("*.py")) if "Flask(" in file.read_text()]


def choose(root, package):
    found = candidates(root)
    if package:
        found = [path for path in (root / package, root / f"{package}.py") if path.exists()]
    if len(found) != 1:
        names = ", ".join(path.stem for path in found)
        fail(
            "which package is it? " + (f"There are {names}." if names else "None has Flask(...)."), "Say: package=NAME"
        )
    return found[0]


def rewrite_imports(root, main):
    """Absolute imports of the package's old name, and of what stands beside it, which comes along.

    Returns what may have been missed, as lines for the person.
    """
    names = {main.stem: "app"} if main.stem != "app" else {}
    beside = {path.stem: path for path in root.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    beside = {name: path for name, path in beside.items() if path != main and not (APP / path.name).exists()}
    while found := [name for name in beside if any(imports(name, file) for file in APP.rglob("*.py"))]:
        for name in found:
            path = beside.pop(name)
            copy(path, APP / path.name)
            names[name] = f"app.{name}"
    look_at = []
    for file in sorted(APP.rglob("*.py")):
        text = file.read_text()
        for old, new in names.items():
            text = renamed(text, old, new)
            for number, line in enumerate(text.splitlines(), 1):
                if re.search(rf"[\"']{old}[.:\"']|^\s*import .*,\s*{old}\b", line):
                    look_at.append(f"{file}:{number}, where '{old}' may mean '{new}': {line.strip()}")
        file.write_text(text)
    return look_at


def imports(name, file):
    return re.search(rf"^\s*(from|import) {name}\b", file.read_text(), re.M)


def renamed(text, old, new):
    """The text with imports of `old` as imports of `new`, under the names that the code uses."""
    parent, _, last = new.rpartition(".")
    plain = f"from {parent} import {last}" if parent else f"import {new} as"
    text = re.sub(rf"^(\s*)from {old}\b(?=[\w.]* import)", rf"\1from {new}", text, flags=re.M)
    text = re.sub(rf"^(\s*)import {old}((?:\.\w+)*) as ", rf"\1import {new}\2 as ", text, flags=re.M)
    text = re.sub(rf"^(\s*)import {old}(?=\s*(#.*)?$)", rf"\1{plain}" + ("" if parent else f" {old}"), text, flags=re.M)
    both = rf"\1import {new}\2\n\1{plain}" + ("" if parent else f" {old}")
    return re.sub(rf"^([ \t]*)import {old}((?:\.\w+)+)(?=\s*(#.*)?$)", both, text, flags=re.M)


def entry():
    """The module in which the platform finds the application."""
    files = [file for file in [APP / "__init__.py", *sorted(APP.glob("*.py"))] if FACTORY.search(file.read_text())]
    if not files:
        say("look at", "app/services.yaml: APP_MODULE has to name the module with `app` or `create_app()`")
    return f"app.{files[0].stem}".replace(".__init__", "") if files else "app"


def requirements(source):
    """What it asks for. The version of what the platform has, too, is the platform's."""
    file = next((source / name for name in REQUIREMENTS if (source / name).exists()), None)
    locks = "".join(Path(folder, "requirements.txt").read_text() for folder in ("flagstone", "tests"))
    ours = {plain(name) for name in re.findall(r"^([\w.-]+)==", locks, re.M)}
    lines = []
    for line in listed(file) if file else []:
        name = re.match(r"[\w.-]+", line)
        if name:
            lines.append(re.match(r"[\w.-]+(\[[^]]*\])?", line)[0] if plain(name[0]) in ours else line)
    return "".join(f"{line}\n" for line in lines)


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def listed(file):
    text = file.read_text()
    if file.name == "pyproject.toml":  # Python 3.9 has no tomllib
        block = re.search(r"^dependencies\s*=\s*\[(.*?)\]\s*$", text, re.M | re.S)
        return [match[1] for match in re.finditer(r"[\"']([^\"']+)[\"']", block[1])] if block else []
    lines = []
    for line in re.sub(r"\\\n", " ", text).splitlines():
        line = re.sub(r"(^|\s)#.*|\s--hash=\S+", "", line).strip()
        other = re.match(r"(-r|--requirement)[ =]*(\S+)", line)
        lines += listed(file.parent / other[2]) if other else [line]
    return lines


if __name__ == "__main__":
    main()
