#!/bin/sh
# Writes Alertmanager's configuration, from .env: who is told, and by what. Then becomes Alertmanager.
set -eu

fail() { echo "alertmanager: $*" >&2; exit 1; }
quoted() { printf "'%s'" "$(printf %s "$1" | sed "s/'/''/g")"; } # for YAML
on() { case $1 in 1 | [Tt]rue | TRUE | [Yy]es | YES | [Oo]n | ON) echo true ;; *) echo false ;; esac; }

mail() {
  [ -n "$ALERT_EMAIL" ] || return 0
  [ -n "$MAIL_SERVER" ] || fail "ALERT_EMAIL needs a mail server: set MAIL_SERVER in .env"
  [ -z "$MAIL_PASSWORD_IN_ENV" ] || fail "MAIL_PASSWORD is read from a file here: put it into one, MAIL_PASSWORD_FILE"
  tls=$(on "$MAIL_USE_TLS") ssl=$(on "$MAIL_USE_SSL") port=25
  [ "$tls" = false ] || port=587
  [ "$ssl" = false ] || port=465
  cat <<MAIL
    email_configs:
      - to: $(quoted "$ALERT_EMAIL")
        from: $(quoted "$MAIL_DEFAULT_SENDER")
        smarthost: $(quoted "$MAIL_SERVER:${MAIL_PORT:-$port}")
        require_tls: $tls
        force_implicit_tls: $ssl
        send_resolved: true
        headers: { Subject: '[{{ .Status }}] {{ .CommonLabels.alertname }} at $DOMAIN' }
        html: ''
        text: "$text"
MAIL
  [ -n "$MAIL_USERNAME" ] || return 0
  [ -r /run/secrets/mail_password ] || fail "MAIL_PASSWORD_FILE cannot be read by uid 65534: chmod o+r, in a closed folder"
  cat <<LOGIN
        auth_username: $(quoted "$MAIL_USERNAME")
        auth_password_file: /run/secrets/mail_password
LOGIN
}
webhook() {
  [ -n "$ALERT_WEBHOOK" ] || return 0
  echo "    webhook_configs: [{ url: $(quoted "$ALERT_WEBHOOK"), send_resolved: true }]"
}
slack() {
  [ -n "$ALERT_SLACK_WEBHOOK" ] || return 0
  cat <<SLACK
    slack_configs:
      - api_url: $(quoted "$ALERT_SLACK_WEBHOOK")
        send_resolved: true
        title: '[{{ .Status }}] {{ .CommonLabels.alertname }} at $DOMAIN'
        text: "$text"
SLACK
}
heartbeat() {
  [ -n "$HEARTBEAT_URL" ] || return 0
  echo "    webhook_configs: [{ url: $(quoted "$HEARTBEAT_URL"), send_resolved: false }]"
}

[ -n "$ALERT_EMAIL$ALERT_WEBHOOK$ALERT_SLACK_WEBHOOK" ] ||
  fail "nobody would be told. Set ALERT_EMAIL, ALERT_WEBHOOK or ALERT_SLACK_WEBHOOK in .env"
text='{{ range .Alerts }}{{ .Status }}: {{ .Annotations.summary }}\nWhat to do: {{ .Annotations.runbook_url }}\n\n{{ end }}'
# Here, where what fails ends the script; within the text below it would not.
people=$(mail && webhook && slack)

umask 077
cat >/tmp/alertmanager.yml <<CONFIG
route:
  receiver: people
  group_by: [alertname]
  group_wait: 10s # what belongs together comes as one
  group_interval: 1m
  repeat_interval: 12h # of what nobody has mended
  routes: # it fires as long as all is well, so each minute
    - { receiver: heartbeat, matchers: [alertname="Watchdog"], group_wait: 0s, group_interval: 1m, repeat_interval: 30s }
inhibit_rules: # who is told of a cause need not be told of what follows
  - { source_matchers: [alertname="DiskAlmostFull"], target_matchers: [alertname=~"DiskFilling|DiskFullSoon"] }
  - { source_matchers: [alertname=~"AppDown|DatabaseDown"], target_matchers: [alertname="SiteDown"] }
receivers:
  - name: people
$people
  - name: heartbeat
$(heartbeat)
CONFIG
exec alertmanager --config.file=/tmp/alertmanager.yml "$@"
