"""What nginx/Dockerfile, its templates, its start-up scripts and the health check rely on."""

import re

from tests.images.container import once, reference, settings, shell, tools, version, write

# Those of our configuration that a build can be without.
MODULES = {"http_ssl", "http_v2", "http_v3", "http_realip", "http_stub_status"}
LEAST = (1, 30, 4)  # fixes the overflows in rewrite and map of 2026
TEMPLATES = ("--env=NGINX_ENVSUBST_TEMPLATE_DIR=/templates", "--env=NGINX_ENVSUBST_OUTPUT_DIR=/run/nginx")
TYPES = {
    "css": "text/css",
    "html": "text/html",
    "ico": "image/x-icon",
    "js": "application/javascript",
    "json": "application/json",
    "png": "image/png",
    "svg": "image/svg+xml",
    "txt": "text/plain",
    "wasm": "application/wasm",
    "woff2": "font/woff2",
    "xml": "text/xml",
}


def start(folder, files, *options, command=("nginx", "-v")):
    """Exit code and log of a start with these files in /templates and /docker-entrypoint.d; nginx ends at once."""
    write(folder, files)
    folder.chmod(0o755)
    targets = {"templates": "/", "scripts/.": "/docker-entrypoint.d"}
    present = [(folder / source, target) for source, target in targets.items() if (folder / source).exists()]
    return once("nginx", *command, options=options, files=present)


def test_a_container_is_nginx_in_the_foreground():
    assert settings("nginx")["Entrypoint"] == ["/docker-entrypoint.sh"]
    assert settings("nginx")["Cmd"] == ["nginx", "-g", "daemon off;"]


def test_nginx_is_the_tags_version_with_the_fixes_of_2026():
    number = re.search(r"nginx/([\d.]+)", once("nginx", "nginx", "-v")[1])[1]
    assert number.startswith(version("nginx") + ".")
    assert tuple(map(int, number.split("."))) >= LEAST


def test_the_modules_of_our_configuration_are_built_in():
    options = once("nginx", "nginx", "-V")[1].split()
    assert {option.removeprefix("--with-").removesuffix("_module") for option in options} >= MODULES


def test_stream_is_there_built_in_or_as_a_module_that_a_line_of_ours_loads():
    lines = "include /usr/share/nginx/modules-available/*.conf; events {} stream { server { listen 1; pass unix:/x; } }"
    shell("nginx", f"echo '{lines}' >/tmp/nginx.conf && nginx -t -q -c /tmp/nginx.conf")


def test_tls_offers_the_post_quantum_key_exchange():
    assert "X25519MLKEM768" in shell("nginx", "openssl list -tls-groups -tls1_3")


def test_the_user_is_101():
    assert shell("nginx", "id nginx") == "uid=101(nginx) gid=101(nginx) groups=101(nginx)"


def test_the_tools_of_our_scripts_are_there():
    assert tools("nginx", "curl", "openssl", "envsubst") == ["curl", "openssl", "envsubst"]


def test_docker_stop_lets_requests_finish():
    assert settings("nginx")["StopSignal"] == "SIGQUIT"


def test_files_have_the_types_that_our_configuration_names():
    types = dict(re.findall(r"(\S+)\s+([a-z0-9 ]+);", shell("nginx", "cat /etc/nginx/mime.types")))
    assert TYPES.items() <= {suffix: kind for kind, suffixes in types.items() for suffix in suffixes.split()}.items()


def test_a_template_gets_set_variables_only(tmp_path):
    files = {
        "templates/a.template": "# ${NAME} $NAME $host ${unset}\n",
        "scripts/99-show.sh": "#!/bin/sh\ncat /run/nginx/a",
    }
    code, log = start(tmp_path, files, *TEMPLATES, "--env=NAME=flagstone", "--tmpfs=/run/nginx")
    assert code == 0
    assert "# flagstone flagstone $host ${unset}" in log


def test_unwritable_output_is_logged_and_nginx_starts_all_the_same(tmp_path):
    code, log = start(tmp_path, {"templates/a.template": "broken"}, *TEMPLATES, "--user=101:101")
    assert code == 0
    assert "ERROR" in log


def test_start_up_scripts_run_in_order_when_executable(tmp_path):
    files = {
        "scripts/100-last.sh": "#!/bin/sh\necho said:last",
        "scripts/90-first.sh": "#!/bin/sh\necho said:first",
        "scripts/95-not.sh": "#!/bin/sh\necho said:not",
    }
    write(tmp_path, files)
    (tmp_path / "scripts/95-not.sh").chmod(0o644)
    code, log = start(tmp_path, {})
    assert code == 0
    assert re.findall("said:(.*)", log) == ["first", "last"]
    assert start(tmp_path, {}, command=("echo", "another command")) == (0, "another command\n")


def test_a_start_up_script_that_fails_stops_the_start(tmp_path):
    files = {"scripts/50-fails.sh": "#!/bin/sh\nexit 3", "scripts/60-later.sh": "#!/bin/sh\necho later"}
    code, log = start(tmp_path, files)
    assert code == 3
    assert "later" not in log


def test_the_reference_is_a_stable_release():
    assert int(version("nginx").split(".")[1]) % 2 == 0, reference("nginx")
