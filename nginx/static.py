"""Prepares the static files: small, named by their content, compressed. Runs while the images are built.

    static.py APP OUT

From APP/static it makes OUT/www/static: each file under its own name and under one with a fingerprint
(style.3f2a9c1b04de.css), CSS and JavaScript minified, url(...) in CSS pointing to fingerprints; the same compressed in
OUT/www/packed/br/static and so on; and OUT/manifest.json, from name to fingerprinted name.

A reference to a file that is not there ends the build: url(...) in CSS, url_for('static', ...) in a template of APP.
What JavaScript imports or fetches by itself keeps its plain name.
"""

import gzip
import json
import os
import re
import sys
from compression import zstd
from hashlib import sha256
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import brotli
import rcssmin
import rjsmin
from jinja2 import Environment, TemplateSyntaxError, nodes

URL = "/static/"
# Formats that are not compressed already, as in nginx/http/compression.conf.
COMPRESSIBLE = {".css", ".html", ".js", ".json", ".svg", ".txt", ".wasm", ".xml"}
ENCODINGS = {
    "br": lambda content: brotli.compress(content, quality=11),
    "zstd": lambda content: zstd.compress(content, level=19),
    "gzip": lambda content: gzip.compress(content, compresslevel=9, mtime=0),
}
MINIFIERS = {".css": rcssmin.cssmin, ".js": rjsmin.jsmin}
REFERENCE = re.compile(r"""(?:url\(\s*|@import\s*(?=["']))(?P<quote>["']?)(?P<url>.*?)(?P=quote)(?:\s*\)|(?<=["']))""")


class BrokenReference(SystemExit):
    """Uncaught, it ends the build with its message and no traceback."""


class Files:
    """What is under `source`, published under `out`; `manifest` has the names."""

    def __init__(self, source: Path, out: Path):
        self.source, self.out = source, out
        self.manifest: dict[str, str] = {}
        self.open: list[str] = []  # stylesheets whose references are being followed

    def publish_all(self) -> None:
        self.out.mkdir(parents=True, exist_ok=True)  # an API may have none, and flagstone/Dockerfile copies the folder
        for path in sorted(self.source.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                self.publish(path.relative_to(self.source).as_posix())

    def publish(self, name: str) -> str:
        """Write the file `name` with all its variants, once. Returns its fingerprinted name."""
        if name not in self.manifest:
            content, suffix = (self.source / name).read_bytes(), Path(name).suffix
            if suffix in MINIFIERS and not name.endswith((".min.css", ".min.js")):
                content = MINIFIERS[suffix](content.decode(), keep_bang_comments=True).encode()  # /*! a licence */
            if suffix == ".css":
                content = self.rewrite(name, content.decode()).encode()
            fingerprinted = f"{name.removesuffix(suffix)}.{sha256(content).hexdigest()[:12]}{suffix}"
            for published in (name, fingerprinted):
                write(self.out / "static" / published, content)
                for encoding, compress in ENCODINGS.items() if suffix in COMPRESSIBLE else ():
                    write(self.out / "packed" / encoding / "static" / published, compress(content))
            self.manifest[name] = fingerprinted
        return self.manifest[name]

    def rewrite(self, stylesheet: str, css: str) -> str:
        """The CSS with its references to files of ours by fingerprint."""
        if stylesheet in self.open:
            raise BrokenReference(f"static: {' -> '.join([*self.open, stylesheet])}: these import each other")
        self.open.append(stylesheet)

        def fingerprinted(match: re.Match) -> str:
            url = urlsplit(match["url"])
            target = urljoin(URL + stylesheet, url.path)
            if url.scheme or url.netloc or not url.path or not target.startswith(URL):
                return match[0]  # data:, another site, a fragment, another part of this site
            name = target.removeprefix(URL)
            if not (self.source / name).is_file():
                raise BrokenReference(f"static: {stylesheet}: {match[0]}: there is no static file {name}")
            # It lies beside the plain one, so only the last part of the path changes.
            folder = "".join(url.path.rpartition("/")[:2])
            return match[0].replace(url.path, folder + Path(self.publish(name)).name)

        css = REFERENCE.sub(fingerprinted, css)
        self.open.pop()
        return css


def write(path: Path, content: bytes) -> None:
    """nginx makes ETag of time and size: with a time made of the content, it is the content's on every machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    time = int(sha256(content).hexdigest()[:12], 16) % 10**9  # in the past
    os.utime(path, (time, time))


def check_templates(app: Path, static: Path) -> None:
    """Each literal url_for('static', filename='...') of a template names a file that is there."""
    environment = Environment(extensions=["jinja2.ext.do", "jinja2.ext.i18n", "jinja2.ext.loopcontrols"])  # noqa: S701
    faults = []
    for template in sorted(path for path in app.glob("**/templates/**/*") if path.is_file()):
        try:
            calls = environment.parse(template.read_text()).find_all(nodes.Call)
        except TemplateSyntaxError as error:
            faults.append(f"{template.relative_to(app)}:{error.lineno}: {error.message}")
            continue
        for call in calls:
            name = static_file(call)
            if name is not None and not (static / name).is_file():
                faults.append(f"{template.relative_to(app)}:{call.lineno}: there is no static file {name}")
    if faults:
        raise BrokenReference("\n".join(f"static: {fault}" for fault in faults))


def static_file(call: nodes.Call) -> str | None:
    """The name in a url_for('static', filename='name'), None where the call is another one."""
    is_static = isinstance(call.node, nodes.Name) and call.node.name == "url_for"
    is_static = is_static and [getattr(argument, "value", None) for argument in call.args] == ["static"]
    names = [word.value for word in call.kwargs if word.key == "filename" and isinstance(word.value, nodes.Const)]
    return names[0].value if is_static and names else None


def main(app: Path, out: Path) -> None:
    check_templates(app, app / "static")
    files = Files(app / "static", out / "www")
    files.publish_all()
    (out / "manifest.json").write_text(json.dumps(files.manifest, indent=1, sort_keys=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
