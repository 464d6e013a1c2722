#!/usr/bin/env bash
# Brings a later release of the template into a fork: a three-way merge of what it changed since the one in VERSION.
# What .gitattributes gives to the fork stands on all three sides as the fork has it, so nothing can touch it. No history
# in common is needed, and none is made. Usage: scripts/update.sh [RELEASE]
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

address() { # of the template: the git remote of that name
  if [ -n "${template:-}" ]; then
    git remote set-url template "$template" 2>/dev/null || git remote add template "$template"
  fi
  git remote get-url template 2>/dev/null ||
    fail "where is the template? Say it once: make update template=https://..." "It is kept as the git remote 'template'."
}

as_here() ( # release, options of commit-tree: that release as a commit, but with the fork's files as they are here
  tag=refs/flagstone/v$1 message="Update to Flagstone $1"
  shift
  git ls-files -z --stage ':(attr:owner=fork)' >"$work/ours"
  export GIT_INDEX_FILE=$work/index
  git read-tree "$tag"
  git ls-files -z ':(attr:owner=fork)' | git update-index -z --force-remove --stdin
  git update-index -z --index-info <"$work/ours"
  git commit-tree "$(git write-tree)" -m "$message" "$@"
)

to_do() { # old, new: what CHANGELOG asks of a fork in the releases between
  git show "refs/flagstone/v$2:CHANGELOG.md" | awk -v old="$1" '
    /^## / { if ($2 == old) exit; release = $2; wanted = 0 }
    /^### / { wanted = /What a fork has to do/ && release ~ /^[0-9]/; if (wanted) print "\n" release; next }
    wanted && NF'
}

unmerged() { git diff --name-only --diff-filter=U -- "$@"; }

explain() {
  git status --porcelain | awk '
    BEGIN { said["UU"] = "changed by both"; said["AA"] = "added by both"
            said["UD"] = "changed here, deleted in the template"; said["DU"] = "deleted here, changed in the template"
            said["AU"] = said["UA"] = said["DD"] = "renamed" }
    substr($0, 1, 2) in said { printf "conflict  %s: %s\n", substr($0, 4), said[substr($0, 1, 2)] }'
  cat <<-'HELP'

	Nothing is lost, and nothing is committed. Between <<<<<<< and ======= stands what is yours, below it what is the
	template's: leave what is right, then `git add FILE`. Where a file has no such marks, `git checkout --ours FILE` or
	`--theirs` first; or `git rm FILE`, where it is not wanted. At the end: git commit. To give up: git reset --hard
	HELP
}

main() {
  local old new release releases base theirs said asked
  [ -e .git ] || fail "this is not the top of a git repository."
  old=$(cat VERSION)
  template=$(address)
  releases=$(git ls-remote --refs --tags --sort=version:refname "$template" 'v*' | sed 's|.*refs/tags/v||') ||
    fail "no answer from $template"
  new=${1:-$(grep -xE '[0-9.]+' <<<"$releases" | tail -n1)} new=${new#v}
  for release in "$new" "$old"; do
    grep -qxF -- "$release" <<<"$releases" || fail "$template has no release '$release', but $(xargs <<<"$releases")"
  done
  if [ "$new" = "$old" ]; then say update "nothing to do, this is $new"; return; fi
  [ "$(printf '%s\n' "$old" "$new" | sort -V | tail -n1)" = "$new" ] || fail "this is $old, which is later than $new."
  [ -z "$(git status --porcelain --untracked-files=no)" ] ||
    fail "there are changes without a commit. Commit or stash them first: an update is a commit of its own."

  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  git fetch --quiet --no-tags "$template" "+refs/tags/v$old:refs/flagstone/v$old" "+refs/tags/v$new:refs/flagstone/v$new"
  base=$(as_here "$old")
  theirs=$(as_here "$new" -p "$base")
  say update "from $old to $new of $template:$(git diff --shortstat "$base" "$theirs")"
  said=$(git -c merge.renames=true -c merge.directoryRenames=false \
    cherry-pick --no-commit --strategy-option=renormalize "$theirs" 2>&1) || {
    [ -n "$(unmerged)" ] || fail "git refuses, and nothing has changed:" "$said"
    # A lock is made, not merged: the template's, and `make lock` adds what the fork needs.
    unmerged '*requirements.txt' >"$work/locks"
    if [ -s "$work/locks" ]; then
      git checkout --quiet --theirs --pathspec-from-file="$work/locks"
      git add --pathspec-from-file="$work/locks"
    fi
  }
  if [ -n "$(unmerged)" ]; then explain; else
    git commit --quiet --message "Update to Flagstone $new"
    say updated "in one commit. To take it back: git reset --hard HEAD~1"
  fi
  git diff --quiet "$base" "$theirs" -- '*requirements.*' || say next "make lock, as packages have changed"
  say next "make test"
  asked=$(to_do "$old" "$new")
  [ -z "$asked" ] || printf '\nWhat a fork has to do:\n%s\n' "$asked"
  [ -z "$(unmerged)" ]
}
main "$@"; exit # on one line: an update may replace this file while it runs
