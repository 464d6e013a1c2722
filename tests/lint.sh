#!/usr/bin/env bash
# Every linter, all of them even when one finds something. Runs in the test container: make lint
set -uo pipefail
cd "$(dirname "$0")/.." || exit
failed=()

check() { # name command...
  local name=$1
  shift
  if output=$("$@" 2>&1); then echo "ok      $name"; else
    echo "FAILED  $name"
    echo "$output"
    failed+=("$name")
  fi
}

compose_is_silent() { # valid, and without a warning
  [ -z "$(docker compose --file "$1" --profile '*' config --quiet 2>&1 | tee /dev/stderr)" ]
}

rendered() { # site: the whole configuration as nginx in that site's container reads it
  docker compose --project-name "$TEST_ID-lint" --file "$1" run --rm --no-deps --no-TTY nginx nginx -T -q
}
nginx_accepts() { rendered "$1" >/tmp/nginx.conf; }
# In development nginx looks at the files anew each time, so that an edit shows: no open_file_cache there.
gixy_accepts() { gixy --skips "$([ "$1" = compose.prod.yaml ] || echo try_files_is_evil_too)" /tmp/nginx.conf; }

check ruff ruff check .
check 'ruff format' ruff format --check .
mapfile -t scripts < <(find . -name '*.sh')
check shellcheck shellcheck "${scripts[@]}" .ci/run
check migrations python3 tests/migrations.py app/migrations/versions
check hadolint hadolint flagstone/Dockerfile nginx/Dockerfile certbot/Dockerfile backup/Dockerfile tests/Dockerfile offline/Dockerfile
check workflow check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/ci.yml
check dependabot check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
check compose-lint compose-lint check --fail-on low compose.yaml compose.prod.yaml
for file in compose.yaml compose.prod.yaml; do
  check "$file" compose_is_silent "$file"
  check "nginx -t $file" nginx_accepts "$file"
  check "gixy $file" gixy_accepts "$file"
done

[ ${#failed[@]} = 0 ] || { printf '\nlint: %s\n' "${failed[*]}"; exit 1; }
