"""`make update`: a later release of the template reaches a fork, and nothing that is the fork's changes.

The template is this checkout, with artificial releases; the forks have no history in common with it, as GitHub's "Use
this template" makes them.
"""

import re
import shutil
from pathlib import Path

import pytest

from tests.shell import run

CHECKOUT = Path(__file__).parents[2]  # as it is: in the copy that tests work in, others edit
PERSON = {f"GIT_{role}_{what}": "test@example.test" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
PERSON |= {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
FORKS = r"app/|starter/|terraform/|README\.md$|LICENSE$|tests/unit/test_(init|readme)\.py$"
NOT_TRACKED = shutil.ignore_patterns(".git", ".env", "secrets", "artifacts", "__pycache__", ".*_cache", "gw*", "copies")
IMAGE = bytes(range(256)) * 8

CHANGELOG = """# Changelog

## Unreleased

### What a fork has to do
- Wait.

## 1.2.0

### What a fork has to do
- Rename `BLUE` to `GREEN`.

### Added
- A colour.

## 1.1.0

### What a fork has to do
- Run `make setup`.

## 1.0.0

### What a fork has to do
- Begin.
"""


class Checkout:
    def __init__(self, path):
        self.path = path

    def git(self, *arguments, **options):
        return run("git", "-C", str(self.path), *arguments, **PERSON, **options).stdout

    def commit(self, message="Change something"):
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self

    def read(self, name):
        return (self.path / name).read_text()

    def write(self, name, text):
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_bytes(text if isinstance(text, bytes) else text.encode())

    def replace(self, name, old, new):
        text = self.read(name)
        assert old in text, name
        self.write(name, text.replace(old, new))

    def tree(self, commit, *paths):
        """Mode and content of each file of a commit, by its name."""
        lines = self.git("ls-tree", "-r", "-z", commit, *paths).rstrip("\0").split("\0")
        return {line.split("\t")[1]: line.split("\t")[0] for line in lines}

    def update(self, to="", **variables):
        command = [f"{name}={value}" for name, value in {"to": to, **variables}.items() if value]
        return run("make", "--directory", str(self.path), "update", *command, check=False, **PERSON)


def copy(path):
    shutil.copytree(CHECKOUT, path, symlinks=True, ignore=NOT_TRACKED)
    checkout = Checkout(path)
    checkout.git("init", "--quiet", "--initial-branch", "main")
    return checkout


def later_version(template):
    """1.1.0: edits, a rename, a deletion, new files, a mode, a binary; and the demo, its lock and its migrations."""
    for name in (
        "compose.yaml",
        "compose.prod.yaml",
        "Makefile",
        ".env.example",
        "flagstone/__init__.py",
        "flagstone/health.py",
        "flagstone/Dockerfile",
        "flagstone/requirements.txt",
        "nginx/nginx.conf",
        "nginx/http/tls.conf",
        "nginx/site/proxy.conf",
        "certbot/renew.py",
        "scripts/setup.sh",
        "scripts/update.sh",  # the one that is running
        "tests/lint.sh",
        "README.md",
        *(
            str(file.relative_to(template.path))
            for folder in ("app", "starter")
            for file in (template.path / folder).rglob("*.py")
        ),
    ):
        lines = template.read(name).splitlines(keepends=True)
        template.write(name, "".join([*lines[:1], "# later\n", *lines[1:], "# later\n"]))
    template.git("mv", "nginx/http/timeouts.conf", "nginx/http/time-outs.conf")
    template.git("rm", "--quiet", "nginx/site/probe.conf")
    (template.path / "tests/lint.sh").chmod(0o644)
    template.write("offline/picture.png", IMAGE)
    template.write("flagstone/more.py", '"""More."""\n')
    template.write("app/migrations/versions/0099_stray.py", "revision = '0099'\n")
    template.write("app/requirements.txt", template.read("app/requirements.txt") + "later==1.0\n")
    template.write("VERSION", "1.1.0\n")
    template.write("CHANGELOG.md", CHANGELOG)
    template.commit().git("tag", "v1.1.0")


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Releases 1.0.0, which is this checkout, 1.1.0 and 1.2.0; and a candidate, which nobody gets unasked."""
    template = copy(tmp_path_factory.mktemp("template") / "template")
    template.write("VERSION", "1.0.0\n")
    template.write("offline/picture.png", IMAGE[:256])
    template.commit("1.0.0").git("tag", "v1.0.0")
    later_version(template)
    for release in ("1.2.0", "1.3.0-rc.1"):
        template.write("VERSION", f"{release}\n")
        template.write("nginx/http/gadgets.conf", f"# of {release}\n")
        template.commit().git("tag", f"v{release}")
    return template


@pytest.fixture
def fork(template, tmp_path):
    """A fork of 1.0.0, whose app/ is another one, and whose README is its own."""
    fork = Checkout(tmp_path / "fork")
    template.git("worktree", "add", "--quiet", "--detach", str(fork.path), "v1.0.0")
    (fork.path / ".git").unlink()
    fork.git("init", "--quiet", "--initial-branch", "main")
    template.git("worktree", "prune")
    shutil.rmtree(fork.path / "app")
    shutil.rmtree(fork.path / "starter", ignore_errors=True)  # as `make init` does
    fork.write("app/__init__.py", "from flask import Flask\n\napp = Flask(__name__)\n")
    fork.write("app/more.py", '"""The fork\'s own."""\n')
    fork.write("app/migrations/versions/1_shop.py", "revision = '1'\n")
    fork.write("README.md", "# Shop\n")
    fork.write("terraform/main.tf", "# a folder of the fork's at the top\n")
    fork.commit("Shop").git("remote", "add", "template", str(template.path))
    return fork


def templates_part(checkout, commit):
    """All that is the template's in a commit."""
    return {name: entry for name, entry in checkout.tree(commit).items() if not re.match(FORKS, name)}


def test_each_tracked_path_has_one_owner(template):
    names = template.git("ls-files", "-z", stdin=None)
    owners = run("git", "-C", str(template.path), "check-attr", "-z", "--stdin", "owner", stdin=names).stdout.split(
        "\0"
    )
    of = dict(zip(owners[::3], owners[2::3], strict=False))
    assert of.pop("", None) is None
    assert {*of.values()} == {"template", "fork"}
    for name in of:
        if name.startswith("app/") or name in ("README.md", "LICENSE"):
            assert of[name] == "fork", name
        if name.startswith(("flagstone/", "nginx/http/", "scripts/", "docs/")) or name in ("compose.yaml", "VERSION"):
            assert of[name] == "template", name


def test_a_fork_with_another_application_gets_a_later_version_without_a_conflict(template, fork):
    before = fork.tree("HEAD")
    result = fork.update("1.1.0")
    assert result.returncode == 0, result.stdout + result.stderr
    assert fork.git("log", "--format=%s", "-1") == "Update to Flagstone 1.1.0\n"
    assert fork.git("status", "--porcelain") == "", "the files are as the commit has them"
    after = fork.tree("HEAD")
    assert templates_part(fork, "HEAD") == templates_part(template, "v1.1.0")
    assert {n: e for n, e in after.items() if n not in templates_part(fork, "HEAD")} == {
        n: e for n, e in before.items() if re.match(FORKS, n)
    }
    changed = {n for n in {*before, *after} if before.get(n) != after.get(n)}
    assert len(changed) >= 15
    assert "nginx/http/time-outs.conf" in after
    assert "nginx/http/timeouts.conf" not in after
    assert after["tests/lint.sh"].startswith("100644")
    assert (fork.path / "offline/picture.png").read_bytes() == IMAGE


def test_the_latest_release_comes_where_none_is_named_and_a_candidate_only_by_name(fork):
    assert fork.update().returncode == 0
    assert fork.read("VERSION") == "1.2.0\n"
    assert fork.update("v1.3.0-rc.1").returncode == 0
    assert fork.read("nginx/http/gadgets.conf") == "# of 1.3.0-rc.1\n"


def test_what_a_fork_has_to_do_is_told_for_each_release_between(fork):
    told = fork.update().stdout
    assert "Rename `BLUE`" in told
    assert "Run `make setup`" in told
    assert "make lock" in told
    for other in ("Wait.", "Begin.", "A colour"):
        assert other not in told


def test_a_second_update_has_nothing_to_do(fork):
    fork.update()
    head = fork.git("rev-parse", "HEAD")
    result = fork.update()
    assert result.returncode == 0
    assert "nothing to do" in result.stdout
    assert fork.git("rev-parse", "HEAD") == head


def test_a_change_of_the_fork_in_another_place_is_kept(fork):
    fork.replace("nginx/http/tls.conf", "ssl_session_cache", "ssl_session_tickets off;\nssl_session_cache")
    fork.commit()
    assert fork.update("1.1.0").returncode == 0
    text = fork.read("nginx/http/tls.conf")
    assert "ssl_session_tickets off;" in text
    assert "# later" in text


def test_a_change_of_the_fork_follows_a_file_that_has_a_new_name(fork):
    fork.write("nginx/http/timeouts.conf", fork.read("nginx/http/timeouts.conf") + "# ours\n")
    fork.commit()
    assert fork.update("1.1.0").returncode == 0
    assert fork.read("nginx/http/time-outs.conf").endswith("# ours\n")


def test_a_conflict_is_named_with_its_remedy_and_nothing_is_lost(template, fork):
    first, rest = fork.read("nginx/nginx.conf").split("\n", 1)
    fork.write("nginx/nginx.conf", f"{first}\n# ours\n{rest}")
    fork.write("nginx/site/probe.conf", fork.read("nginx/site/probe.conf") + "# ours\n")
    fork.git("rm", "--quiet", "certbot/renew.py")
    fork.write("flagstone/more.py", '"""Ours."""\n')
    fork.write("offline/picture.png", IMAGE[:512])
    before = fork.commit().git("rev-parse", "HEAD")
    result = fork.update("1.1.0")
    assert result.returncode != 0
    for line in (
        "nginx/nginx.conf: changed by both",
        "nginx/site/probe.conf: changed here, deleted in the template",
        "certbot/renew.py: deleted here, changed in the template",
        "flagstone/more.py: added by both",
        "offline/picture.png: changed by both",
        "git reset --hard",
    ):
        assert line in result.stdout
    assert "# ours\n=======\n# later\n" in fork.read("nginx/nginx.conf")
    assert "# ours" in fork.read("nginx/site/probe.conf")
    assert "Ours." in fork.read("flagstone/more.py")
    assert (fork.path / "offline/picture.png").read_bytes() == IMAGE[:512]

    assert "Commit or stash" in fork.update().stderr, "an update that is not finished is not begun again"
    fork.git("checkout", "--theirs", "nginx/nginx.conf", "flagstone/more.py", "offline/picture.png", "certbot/renew.py")
    fork.git("rm", "--quiet", "nginx/site/probe.conf")
    fork.git("add", "--update")
    fork.git("commit", "--quiet", "--no-edit")
    assert fork.git("log", "--format=%s", "-1") == "Update to Flagstone 1.1.0\n"
    assert fork.git("rev-parse", "HEAD~1") == before
    assert templates_part(fork, "HEAD") == templates_part(template, "v1.1.0")


def test_a_lock_is_never_a_conflict(template, fork):
    """A fork's application moves versions in the lock of the tests, and `make lock` makes it anew."""
    first, rest = fork.read("flagstone/requirements.txt").split("\n", 1)
    fork.write("flagstone/requirements.txt", f"{first}\n# ours\n{rest}")
    fork.commit()
    result = fork.update("1.1.0")
    assert result.returncode == 0, result.stdout
    assert "make lock" in result.stdout
    assert templates_part(fork, "HEAD") == templates_part(template, "v1.1.0")


def test_a_path_that_a_fork_takes_over_is_left_alone(fork):
    fork.write(".gitattributes", fork.read(".gitattributes") + "/certbot/** owner=fork\n")
    fork.commit()
    before = fork.tree("HEAD", "certbot/")
    assert fork.update("1.1.0").returncode == 0
    assert fork.tree("HEAD", "certbot/") == before


def test_a_file_of_the_template_that_moved_into_app_is_left_alone_there(fork):
    fork.git("mv", "certbot/renew.py", "app/renew.py")
    before = fork.commit().tree("HEAD", "app/")
    fork.update("1.1.0")
    assert fork.tree(fork.git("write-tree", check=False).strip() or "HEAD", "app/") == before


def test_files_with_the_line_ends_of_windows_are_merged(fork):
    fork.write(".gitattributes", "")
    fork.write("nginx/http/tls.conf", fork.read("nginx/http/tls.conf").replace("\n", "\r\n"))
    fork.commit().git("checkout", "HEAD~1", "--", ".gitattributes")
    fork.commit()
    result = fork.update("1.1.0")
    assert result.returncode == 0, result.stdout
    assert "# later" in fork.read("nginx/http/tls.conf")


def test_uncommitted_changes_are_refused_and_kept(fork):
    fork.write("nginx/nginx.conf", "# not committed\n")
    result = fork.update()
    assert result.returncode != 0
    assert "Commit or stash" in result.stderr
    assert fork.read("nginx/nginx.conf") == "# not committed\n"


def test_a_file_in_the_way_that_git_does_not_know_is_kept(fork):
    fork.write("flagstone/more.py", "# not committed\n")
    result = fork.update()
    assert result.returncode != 0
    assert "flagstone/more.py" in result.stderr
    assert fork.read("flagstone/more.py") == "# not committed\n"
    assert fork.git("diff", "HEAD") == "", "nothing else came"


@pytest.mark.parametrize(("to", "told"), [("9.9.9", "1.0.0 1.1.0 1.2.0"), ("--help", "1.0.0 1.1.0 1.2.0")])
def test_a_release_that_does_not_exist_is_refused_with_those_that_do(fork, to, told):
    result = fork.update(to)
    assert result.returncode != 0
    assert told in result.stderr
    assert fork.git("status", "--porcelain") == ""


def test_there_is_no_way_back_to_an_earlier_release(fork):
    fork.update()
    assert "later than 1.1.0" in fork.update("1.1.0").stderr


def test_the_address_of_the_template_is_asked_for_once(template, fork):
    fork.git("remote", "remove", "template")
    assert "template=https://" in fork.update().stderr
    assert "no answer from" in fork.update(template="/nowhere").stderr
    assert fork.update("1.1.0", template=template.path).returncode == 0
    assert fork.update().returncode == 0, "and kept"


def test_a_tag_of_the_fork_with_the_same_name_is_another_thing(template, fork):
    fork.git("tag", "v1.1.0")
    ours = fork.git("rev-parse", "v1.1.0")
    assert fork.update("1.1.0").returncode == 0
    assert fork.git("rev-parse", "v1.1.0") == ours
    assert templates_part(fork, "HEAD") == templates_part(template, "v1.1.0")


def test_the_newest_release_of_the_changelog_is_the_version():
    releases = re.findall(r"^## (\d\S+)", (CHECKOUT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert releases[0] == (CHECKOUT / "VERSION").read_text().strip()


def test_each_release_says_first_what_a_fork_has_to_do():
    for release in re.split(r"^## (?=\d)", (CHECKOUT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)[1:]:
        assert re.findall(r"^### (.*)", release, re.MULTILINE)[0] == "What a fork has to do", release.split()[0]
