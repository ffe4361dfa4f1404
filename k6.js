// Load test: tasks are posted at a rate that climbs to 10,000 a second, while readers list them.
//
//   k6 run k6.js                                          against http://127.0.0.1:8080
//   k6 run -e BASE_URL=http://host:9000 k6.js             against another server
//   k6 run -e SUMMARY_JSON=summary.json k6.js             keeps the figures in a file as well
//
// `make load` starts a server of its own, runs this, and checks that every accepted task has ended.
import { check } from "k6";
import http from "k6/http";

const TASKS = `${(__ENV.BASE_URL || "http://127.0.0.1:8080").replace(/\/+$/, "")}/tasks`;

// The generator shares the machine with the server, so everything an iteration needs is built once: k6 skips
// bodies nobody looks at, keeps only the tags used below, and every request has a fixed name.
export const options = {
  discardResponseBodies: true,
  systemTags: ["scenario", "name", "status", "expected_response"],
  summaryTrendStats: ["p(50)", "p(95)", "p(99)", "max"],
  scenarios: {
    blast: {
      executor: "ramping-arrival-rate",
      exec: "submit",
      startRate: 500,
      timeUnit: "1s",
      stages: [
        { target: 5000, duration: "40s" },
        { target: 10000, duration: "40s" },
      ],
      preAllocatedVUs: 1000, // made before the clock starts: k6 drops iterations while it makes one more
      maxVUs: 5000,
    },
    readers: {
      executor: "constant-arrival-rate",
      exec: "list",
      rate: 100,
      timeUnit: "1s",
      duration: "80s",
      preAllocatedVUs: 20,
      maxVUs: 200,
    },
  },
  thresholds: {
    "http_req_duration{name:submit}": ["p(95)<300"],
    "http_req_duration{name:list}": ["p(95)<500"],
    http_req_failed: ["rate<0.01"],
    checks: ["rate>0.99"],
    // always true: k6 keeps a figure of one scenario only where a threshold names it
    "http_reqs{name:submit}": ["count>=0"],
    "http_reqs{name:list}": ["count>=0"],
    "checks{name:submit}": ["rate>=0"],
  },
};

const JSON_TYPE = { "Content-Type": "application/json" };
const SUBMIT = { headers: JSON_TYPE, responseType: "text", tags: { name: "submit" } };
const LIST = { tags: { name: "list" } };
const BODIES = [
  JSON.stringify({ action: "uppercase", data: { text: "hello world" } }),
  JSON.stringify({ action: "sum", data: { numbers: [1, 2, 3, 4, 5] } }),
];
const ACCEPTED = {
  "202 with an id": (answer) => answer.status === 202 && answer.body.includes('"id":'),
};
const LISTED = { "200": (answer) => answer.status === 200 };

export function submit() {
  check(http.post(TASKS, BODIES[__ITER % 2], SUBMIT), ACCEPTED, SUBMIT.tags);
}

export function list() {
  const url = __ITER % 2 ? `${TASKS}?status=completed` : TASKS;
  check(http.get(url, LIST), LISTED, LIST.tags);
}

export function handleSummary(data) {
  const value = (metric, field) => data.metrics[metric]?.values[field] ?? 0;
  const figures = {
    seconds: data.state.testRunDurationMs / 1000,
    submitted: value("http_reqs{name:submit}", "count"),
    accepted: value("checks{name:submit}", "passes"),
    listed: value("http_reqs{name:list}", "count"),
    failed_rate: value("http_req_failed", "rate"),
    dropped_iterations: value("dropped_iterations", "count"),
    most_vus: value("vus_max", "max"),
    submit_ms: data.metrics["http_req_duration{name:submit}"]?.values ?? {},
    list_ms: data.metrics["http_req_duration{name:list}"]?.values ?? {},
    thresholds: {},
  };
  for (const [metric, { thresholds }] of Object.entries(data.metrics)) {
    for (const [rule, { ok }] of Object.entries(thresholds ?? {})) {
      if (!rule.includes(">=0")) figures.thresholds[`${metric} ${rule}`] = ok;
    }
  }
  const files = { stdout: table(figures) };
  if (__ENV.SUMMARY_JSON) files[__ENV.SUMMARY_JSON] = JSON.stringify(figures, null, 2) + "\n";
  return files;
}

function table(figures) {
  const cells = (...texts) => texts.map((text, i) => (i ? String(text).padStart(11) : text.padEnd(10))).join("");
  const row = (name, count, ms) =>
    cells(name, count, ...["p(50)", "p(95)", "p(99)", "max"].map((stat) => (ms[stat] ?? 0).toFixed(1)));
  const lines = [
    "",
    cells("", "requests", "p50 ms", "p95 ms", "p99 ms", "max ms"),
    row("submit", figures.submitted, figures.submit_ms),
    row("list", figures.listed, figures.list_ms),
    "",
    `${figures.accepted} accepted, ${(figures.failed_rate * 100).toFixed(3)} % failed, ` +
      `${figures.dropped_iterations} iterations dropped, at most ${figures.most_vus} users, ${figures.seconds.toFixed(1)} s`,
    ...Object.entries(figures.thresholds).map(([rule, ok]) => `${ok ? "pass" : "FAIL"}  ${rule}`),
    "",
  ];
  return lines.join("\n");
}
