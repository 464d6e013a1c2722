"""What the stack's Dockerfiles rely on in python:*-slim-*."""

from tests.images.container import settings, shell, tools, version

WHEEL = """
import zipfile
with zipfile.ZipFile("/tmp/flagstone-1-py3-none-any.whl", "w") as wheel:
    wheel.writestr("flagstone.py", "installed = True")
    wheel.writestr("flagstone-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: flagstone\\nVersion: 1\\n")
    wheel.writestr("flagstone-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr("flagstone-1.dist-info/RECORD", "")
"""


def test_python_is_the_tags_version_under_each_of_its_names():
    for name in ("python", "python3", f"python{version('python')}"):
        path, said = shell("python", f"command -v {name}; {name} --version").splitlines()
        assert path == f"/usr/local/bin/{name}"
        assert said.startswith(f"Python {version('python')}.")


def test_a_container_is_an_interpreter_for_root():
    assert settings("python")["Cmd"] == ["python3"]
    assert not settings("python")["Entrypoint"]
    assert settings("python")["User"] == ""


def test_pip_installs_for_the_whole_system():
    install = "pip install --quiet --no-index --root-user-action=ignore /tmp/*.whl"
    script = f"python - && {install} && cd / && python -c 'import flagstone; print(flagstone.installed)'"
    assert shell("python", script, stdin=WHEEL) == "True"
    assert shell("python", "command -v pip") == "/usr/local/bin/pip"


def test_pip_installs_into_a_venv_that_has_none():
    install = "pip --python /venv install --quiet --no-index /tmp/*.whl"
    script = f"python - && python -m venv --without-pip /venv && {install} && /venv/bin/python -c 'import flagstone'"
    shell("python", script, stdin=WHEEL)


def test_the_standard_library_has_the_modules_that_builds_leave_out():
    modules = "compression.zstd, ctypes, readline, sqlite3, ssl, zlib"
    shell("python", f"python -c 'import {modules}; assert ssl.OPENSSL_VERSION_INFO >= (3, 5)'")


def test_text_is_utf_8_whatever_the_locale():
    """There is no LANG in the image."""
    code = "import sys; print(sys.stdout.encoding, sys.getfilesystemencoding())"
    assert shell("python", f"python -c '{code}'") == "utf-8 utf-8"


def test_time_zones_and_service_names_are_known():
    code = "import socket, zoneinfo; print(zoneinfo.ZoneInfo('Europe/Berlin'), socket.getservbyname('https'))"
    assert shell("python", f'python -c "{code}"') == "Europe/Berlin 443"


def test_tls_trusts_the_systems_authorities():
    code = "import ssl; print(len(ssl.create_default_context().get_ca_certs()) > 50)"
    assert shell("python", f'python -c "{code}"') == "True"


def test_openssl_is_in_the_image_and_neither_a_compiler_nor_curl():
    assert tools("python", "cc", "curl", "gcc", "make", "openssl") == ["openssl"]
