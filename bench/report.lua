-- wrk's script: METHOD and BYTES of a body; what came of it, as a line of JSON.
function init(arguments)
  wrk.method = arguments[1] or "GET"
  if arguments[2] then wrk.body = string.rep("x", tonumber(arguments[2])) end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('\n{"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "failed": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
