#!/bin/sh
# A worker for the action `thumbnail`, of curl and jq. Usage: sh worker.sh [URL]
set -u
url=${1:-http://localhost:8080}

say() { # a path, a body
    curl --silent --fail --max-time 90 --json "$2" "$url$1"
}

work() { # what the task is: its data in, its result out
    jq -c '{thumbnail: "\(.url)?width=\(.width)"}'
}

handle() { # one task
    id=$(printf '%s' "$1" | jq -r .id)
    lease=$(printf '%s' "$1" | jq -c '{lease}')
    while sleep 10; do say "/tasks/$id/heartbeat" "$lease" >/dev/null || exit; done &
    beat=$!
    if result=$(printf '%s' "$1" | jq -c .data | work); then
        say "/tasks/$id/complete" "$(jq -cn --argjson l "$lease" --argjson r "$result" '$l + {result: $r}')"
    else
        say "/tasks/$id/fail" "$(jq -cn --argjson l "$lease" '$l + {error: {type: "NoThumbnail"}}')"
    fi >/dev/null || echo "task $id is no longer ours" >&2
    kill "$beat"
}

while :; do
    claimed=$(say /queues/thumbnails/claim '{"worker": "shell", "wait": 30, "lease": 30}') || {
        sleep 1
        continue
    }
    printf '%s' "$claimed" | jq -c '.tasks[]' | while read -r task; do handle "$task"; done
done
