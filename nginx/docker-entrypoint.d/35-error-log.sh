#!/bin/sh
# nginx has one format for errors, with whole request lines in it. It writes them into a pipe; here each becomes a JSON
# line on stdout, without the queries.
set -eu
[ -p /run/nginx/error.log ] || mkfifo -m 600 /run/nginx/error.log

LC_ALL=C sed -u -E '
  s/[^ -~]/?/g
  s/\?[^ "]*/?[hidden]/g
  s/[\\"]/\\&/g
  s/ \[warn\] / [warning] /
  s/ \[(crit|alert|emerg)\] / [critical] /
  s#^(....)/(..)/(..) ([0-9:]+) \[([a-z]+)\] (.*)#{"time":"\1-\2-\3T\4+00:00","level":"\5","logger":"nginx.error","message":"\6"}#
' <>/run/nginx/error.log &
