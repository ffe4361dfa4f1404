-- One request, built once and sent over and over: the client must cost less than what it measures.
-- wrk ... -s post.lua URL -- ACTION
function init(args)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.body = string.format('{"action":"%s","data":{"text":"hello world"}}', args[1] or "uppercase")
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nSUMMARY {"requests":%d,"refused":%d,"broken":%d,"seconds":%.6f,"p50":%.3f,"p95":%.3f,"p99":%.3f}\n',
    summary.requests, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3))
end
