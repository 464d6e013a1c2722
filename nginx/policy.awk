# A Content-Security-Policy as nginx sends it. Prints it without a line end.
# A directive that stands twice is one: browsers would ignore the second, and so what is pasted at the end would do nothing.
BEGIN { RS = ";"; none = "'none'" }

NF { # a directive: its name and its sources
  name = tolower($1)
  if (!(name in sources)) { order[++count] = name; sources[name] = "" }
  for (i = 2; i <= NF; i++)
    if (!index(sources[name] " ", " " $i " ")) sources[name] = sources[name] " " $i
}

# Whether a nonce means something there. Beside it, browsers ignore 'unsafe-inline'.
function takes_nonce(name) {
  if (sources[name] ~ /'unsafe-inline'/ && sources[name] !~ /'strict-dynamic'/) return 0
  if (name == "default-src") return !("script-src" in sources && "style-src" in sources)
  return name ~ /^(script|style)-src(-elem)?$/
}

END {
  for (i = 1; i <= count; i++) {
    name = order[i]
    allowed = sources[name]
    if (allowed != " " none) sub(" " none, "", allowed) # joined with a source
    if (takes_nonce(name)) allowed = allowed == " " none ? "$nonce_or_none" : allowed "$nonce"
    printf "%s%s%s", (i > 1 ? "; " : ""), name, allowed
  }
  if (count && !("report-uri" in sources || "report-to" in sources)) printf "; report-uri /csp-report"
}
