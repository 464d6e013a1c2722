"""What nginx/Dockerfile, its templates and its start-up scripts rely on."""

import re

import pytest

from tests.images.container import HARDENED, once, reference, settings, shell, started, tools, version, write
from tests.wait import until

MODULES = ("http_ssl", "http_v2", "http_v3", "http_realip", "http_gzip_static", "http_stub_status")
LEAST = (1, 30, 4)  # fixes the overflows in rewrite and map of 2026


def render(tmp_path, templates, *options, show):
    """What is in the file `show` after the start-up scripts ran over these templates."""
    write(tmp_path, templates)
    with started("nginx", options=options, files=[(f"{tmp_path}/.", "/etc/nginx/templates")]) as nginx:
        return until(lambda: nginx.exec("cat", show), within=10)


def test_a_container_is_nginx_in_the_foreground():
    assert settings("nginx")["Entrypoint"] == ["/docker-entrypoint.sh"]
    assert settings("nginx")["Cmd"] == ["nginx", "-g", "daemon off;"]
    assert "80/tcp" in settings("nginx")["ExposedPorts"]


def test_nginx_is_the_tags_version_with_the_fixes_of_2026():
    number = re.search(r"nginx/([\d.]+)", once("nginx", "nginx", "-v").stderr)[1]
    assert number.startswith(version("nginx") + ".")
    assert tuple(map(int, number.split("."))) >= LEAST


@pytest.mark.parametrize("module", MODULES)
def test_a_module_of_our_configuration_is_built_in(module):
    assert f"--with-{module}_module" in once("nginx", "nginx", "-V").stderr


def test_tls_offers_the_post_quantum_key_exchange():
    assert "X25519MLKEM768" in shell("nginx", "openssl list -tls-groups -tls1_3")


def test_the_user_is_101():
    assert shell("nginx", "id nginx") == "uid=101(nginx) gid=101(nginx) groups=101(nginx)"


def test_the_tools_of_our_scripts_are_there():
    assert tools("nginx", "curl", "openssl", "envsubst") == ["curl", "openssl", "envsubst"]


def test_it_serves_its_page_and_logs_to_the_container():
    with started("nginx") as nginx:
        page = until(lambda: nginx.exec("curl", "--fail", "--silent", "http://127.0.0.1/?seen"), within=10)
        assert "nginx" in page
        nginx.until_it_logs("GET /?seen")


def test_it_serves_without_root_and_without_a_writable_disk():
    tmpfs = [f"--tmpfs={path}:uid=101,gid=101" for path in ("/run", "/var/cache/nginx")]
    with started("nginx", options=["--user=101:101", *HARDENED, *tmpfs]) as nginx:
        assert until(lambda: nginx.exec("curl", "--fail", "--silent", "http://127.0.0.1/"), within=10)
        assert nginx.uid() == "101"


def test_docker_stop_lets_requests_finish():
    assert settings("nginx")["StopSignal"] == "SIGQUIT"


def test_a_template_gets_set_variables_only(tmp_path):
    template = {"a.template": "# ${NAME} $NAME $host ${unset}\n"}
    seen = render(tmp_path, template, "--env=NAME=flagstone", show="/etc/nginx/conf.d/a")
    assert seen == "# flagstone flagstone $host ${unset}"


def test_templates_keep_their_folders_and_may_live_elsewhere(tmp_path):
    options = [
        "--env=NGINX_ENVSUBST_TEMPLATE_DIR=/etc/nginx/templates/prod",
        "--env=NGINX_ENVSUBST_OUTPUT_DIR=/run/nginx",
        "--env=NGINX_ENVSUBST_TEMPLATE_SUFFIX=.in",
        "--env=NGINX_ENVSUBST_FILTER=^MY_",
        "--env=MY_A=1",
        "--env=OTHER=2",
        "--tmpfs=/run/nginx",
    ]
    assert render(tmp_path, {"prod/x/y.in": "$MY_A $OTHER"}, *options, show="/run/nginx/x/y") == "1 $OTHER"


def test_unwritable_output_is_logged_and_nginx_starts_all_the_same(tmp_path):
    write(tmp_path, {"a.template": "broken"})
    options = ["--user=101:101", "--tmpfs=/run:uid=101", "--tmpfs=/var/cache/nginx:uid=101"]
    with started("nginx", options=options, files=[(f"{tmp_path}/.", "/etc/nginx/templates")]) as nginx:
        assert until(lambda: nginx.exec("curl", "--fail", "--silent", "http://127.0.0.1/"), within=10)
        assert "ERROR" in nginx.logs()


def test_start_up_scripts_run_in_order_when_executable(tmp_path):
    write(
        tmp_path,
        {
            "50-set.envsh": "export GREETING=hello",
            "100-say.sh": "#!/bin/sh\necho said:$GREETING",
            "90-first.sh": "#!/bin/sh\necho said:first",
            "95-not.sh": "#!/bin/sh\necho said:not",
        },
    )
    (tmp_path / "95-not.sh").chmod(0o644)
    files = [(f"{tmp_path}/.", "/docker-entrypoint.d")]
    with started("nginx", "nginx", "-t", files=files) as nginx:
        assert nginx.exit_code() == 0
        assert [line for line in nginx.logs().splitlines() if line.startswith("said:")] == ["said:first", "said:hello"]
    with started("nginx", "echo", "another command", files=files) as other:
        assert other.exit_code() == 0
        assert other.logs().strip() == "another command"


def test_a_start_up_script_that_fails_stops_the_start(tmp_path):
    write(tmp_path, {"50-fails.sh": "#!/bin/sh\nexit 3", "60-later.sh": "#!/bin/sh\necho later"})
    with started("nginx", files=[(f"{tmp_path}/.", "/docker-entrypoint.d")]) as nginx:
        assert nginx.exit_code() == 3
        assert "later" not in nginx.logs()


def test_the_reference_is_a_stable_release():
    assert int(version("nginx").split(".")[1]) % 2 == 0, reference("nginx")
