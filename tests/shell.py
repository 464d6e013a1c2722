"""Runs the commands that a person would type, and shows what they said when they fail."""

import os
import subprocess


def run(
    *command: str,
    check: bool = True,
    timeout: float = 120,
    stdin: str | None = None,
    cwd: str | None = None,
    **env: str,
):
    """Run `command` and return its CompletedProcess; `env` is added to the environment.

    Raises AssertionError with the command's output when it exits non-zero and `check` is set,
    and subprocess.TimeoutExpired after `timeout` seconds.
    """
    result = subprocess.run(
        command, input=stdin, text=True, capture_output=True, timeout=timeout, cwd=cwd, env={**os.environ, **env}
    )
    return checked(result) if check else result


def checked(result):
    if result.returncode != 0:
        raise AssertionError(f"{' '.join(result.args)} exited {result.returncode}\n{result.stdout}{result.stderr}")
    return result


def docker(*arguments: str, **options):
    """`run` with docker before it; returns what it printed, stripped."""
    return run("docker", *arguments, **options).stdout.strip()
