"""A checkout with characters in its path, settings and passwords that a shell, YAML or a URL takes for its own."""

import shutil

from tests.conftest import copy_with_probe
from tests.shell import run
from tests.smtp import certificate
from tests.stack.conftest import HERE

FOLDER = "it's my site [1] (a copy), 100% $new #2"
TEXT = 'It costs $five #1, "net"'
PASSWORDS = {
    "postgres_password": "p@s%w:/#1 $HOME \\'\"&=+ü\r\n",
    "redis_password": "p@ss w\"rd #$%1 \\n\\'`id`{}ü\r\n",
}
MAIL_PASSWORD = 'a$b#c "d" #%s/@\\n $$'
PORT = 2525


def odd_checkout():
    folder = copy_with_probe(FOLDER)
    (folder / ".env").unlink()
    shutil.rmtree(folder / "secrets")
    run(f"{folder}/scripts/setup.sh")
    mail = {"MAIL_USERNAME": "user", "MAIL_PASSWORD": MAIL_PASSWORD, "MAIL_USE_TLS": "1", "MAIL_PORT": PORT}
    with (folder / ".env").open("a") as env:
        env.writelines(f"{name}='{value}'\n" for name, value in {"GREETING": TEXT, **mail}.items())
    for name, password in PASSWORDS.items():
        (folder / "secrets" / name).unlink()
        (folder / "secrets" / name).write_text(password, newline="")
    certificate(folder, HERE)
    return folder
