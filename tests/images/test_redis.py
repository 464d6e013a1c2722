"""What the redis service relies on."""

from tests.images.container import HARDENED, new_name, once, settings, shell, started, version
from tests.shell import docker
from tests.wait import until


def test_a_container_is_the_server():
    assert settings("redis")["Cmd"] == ["redis-server"]
    assert settings("redis")["WorkingDir"] == "/data"


def test_server_and_client_are_of_the_tags_version():
    assert f"v={version('redis')}." in once("redis", "redis-server", "--version")[1]
    assert f"redis-cli {version('redis')}." in once("redis", "redis-cli", "--version")[1]


def test_its_configuration_may_come_by_stdin_to_an_unprivileged_process():
    script = "exec redis-server - <<CONFIG\nrequirepass secret\nsave ''\nCONFIG"
    options = ("--user=999:999", *HARDENED, "--tmpfs=/tmp", "--tmpfs=/data:uid=999,gid=999")
    with started("redis", "sh", "-c", script, options=options) as redis:
        until(lambda: redis.exec("redis-cli", "--no-auth-warning", "-a", "secret", "ping") == "PONG")
        assert "NOAUTH" in redis.exec("redis-cli", "ping")
        assert redis.uid() == "999"
        assert redis.exec("grep", "Umask", "/proc/1/status").split()[1] == "0077"


def test_the_data_directory_belongs_to_redis():
    assert shell("redis", "stat -c %U /data") == "redis"


def test_redis_is_999_and_another_command_is_left_alone():
    assert once("redis", "id", "redis")[1].startswith("uid=999(redis) gid=999(redis)")


def test_a_new_volume_belongs_to_it_and_keeps_what_was_written_over_a_crash():
    name = new_name()
    options = ("--user=999:999", *HARDENED, f"--volume={name}:/data")
    command = ("redis-server", "--save", "", "--appendonly", "yes")
    try:
        with started("redis", *command, options=options) as redis:
            until(lambda: redis.exec("redis-cli", "lpush", "queue", "job") == "1")
            docker("kill", redis.name)
        with started("redis", *command, options=options) as redis:
            until(lambda: redis.exec("redis-cli", "lrange", "queue", "0", "-1") == "job")
    finally:
        docker("volume", "rm", "--force", name)
