"""What certbot/Dockerfile and its loop rely on. The official image is Alpine: sh, and no bash."""

from tests.images.container import once, settings, shell, tools, version


def test_a_container_is_certbot():
    assert settings("certbot")["Entrypoint"] == ["certbot"]
    assert settings("certbot")["WorkingDir"] == "/opt/certbot"
    assert set(settings("certbot")["Volumes"]) == {"/etc/letsencrypt", "/var/lib/letsencrypt"}


def test_certbot_is_the_tags_version():
    assert once("certbot", "--version").stdout.strip() == f"certbot {version('certbot')}"


def test_scripts_find_certbot_in_python_and_openssl():
    assert shell("certbot", "python3 -c 'import certbot; print(certbot.__version__)'") == version("certbot")
    assert tools("certbot", "sh", "python3", "openssl", "pip") == ["sh", "python3", "openssl", "pip"]


def test_pip_may_install_beside_certbot():
    """A plugin for DNS. Nothing is fetched here."""
    assert "certbot" in shell("certbot", "pip install --dry-run --no-index certbot")


def test_no_option_is_preset():
    assert shell("certbot", "ls /etc/letsencrypt") == ""
