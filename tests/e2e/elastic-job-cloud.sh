#!/usr/bin/env bash
# What users of Elastic-Job-Cloud script with curl, in both generations: register app, register job,
# query, disable, enable, trigger, queues, deregister. Usage: elastic-job-cloud.sh 2|3 URL
# For 3 the scheduler must know user root with password pwd.
set -euo pipefail
generation=$1 url=$2
header=()

fail() { echo "failed: $*" >&2; exit 1; }

# Sends a request; sets status and body.
ask() { # method path [curl arguments]
    local answer
    answer=$(curl -s -X "$1" "$url$2" "${header[@]}" -w '\n%{http_code}' "${@:3}")
    status=${answer##*$'\n'}
    body=${answer%$'\n'*}
}

# A change must have been made.
changed() {
    ask "$@"
    case $generation in
        2) [ "$status:$body" = "204:" ] || fail "$1 $2: $status $body" ;;
        3) [ "$status:$body" = "200:true" ] || fail "$1 $2: $status $body" ;;
    esac
}

# An answer must hold a text.
holds() { # path text
    ask GET "$1"
    [ "$status" = 200 ] || fail "GET $1: $status $body"
    grep -qF -- "$2" <<<"$body" || fail "GET $1 has no $2: $body"
}

refused() { # message, then the request
    ask "${@:2}"
    [ "$status" = 500 ] || fail "$2 $3: $status $body"
    # Gson escapes the apostrophe.
    grep -qF -- "$1" <<<"${body//\\u0027/\'}" || fail "$2 $3: $body"
}

# Until a queue holds a text or, with an empty one, nothing.
queue_shows() { # queue text
    for _ in $(seq 200); do
        ask GET "/api/job/tasks/$1"
        if [ -z "$2" ]; then [ "$body" != "[]" ] || return 0
        else grep -qF -- "$2" <<<"$body" && return 0; fi
        sleep 0.1
    done
    fail "the queue $1 never showed '$2': $body"
}

app='{"appName":"foo_app","appURL":"","cpuCount":0.1,"memoryMB":32.0,"bootstrapScript":"","appCacheEnable":true,"eventTraceSamplingCount":0}'
case $generation in
    2)
        work='"jobType":"SCRIPT","scriptCommandLine":"sleep 2;"'
        enable_app=(DELETE /api/app/foo_app/disable)
        enable_job=(DELETE /api/job/foo_job/disable)
        deregister=(DELETE /api/job/deregister -d foo_job)
        ;;
    3)
        work='"props":{"script.command.line":"sleep 2;"}'
        enable_app=(POST /api/app/foo_app/enable)
        enable_job=(POST /api/job/foo_job/enable)
        deregister=(DELETE /api/job/foo_job/deregister)
        ask GET /api/app/list
        [ "$status" = 401 ] || fail "the API is open: $status"
        ask POST /api/login -d '{"username":"root","password":"wrong"}'
        [ "$status" = 401 ] || fail "a wrong password was taken: $status"
        ask POST /api/login -H 'Content-Type: application/json' -d '{"username":"root","password":"pwd"}'
        token=$(sed -n 's/.*"accessToken":"\([^"]*\)".*/\1/p' <<<"$body")
        [ -n "$token" ] || fail "no token: $status $body"
        header=(-H "accessToken: $token")
        ;;
esac
job='{"jobName":"foo_job","appName":"foo_app","jobClass":"com.acme.MyJob","jobExecutionType":"TRANSIENT","cron":"0 0 2 1 1 ?","shardingTotalCount":2,"cpuCount":"0.1","memoryMB":"16","failover":true,"misfire":true,'"$work"'}'
json=(-H 'Content-Type: application/json')

refused "Register app 'foo_app' firstly." POST /api/job/register "${json[@]}" -d "$job"
changed POST /api/app "${json[@]}" -d "$app"
refused "app 'foo_app' already existed." POST /api/app "${json[@]}" -d "$app"
holds /api/app/list '"appName":"foo_app"'
holds /api/app/foo_app '"memoryMB":32.0'
changed PUT /api/app "${json[@]}" -d "$app"
changed POST /api/job/register "${json[@]}" -d "$job"
refused "Job 'foo_job' already existed." POST /api/job/register "${json[@]}" -d "$job"
changed PUT /api/job/update "${json[@]}" -d "$job"
holds /api/job/jobs '"jobName":"foo_job"'
holds /api/job/jobs/foo_job '"shardingTotalCount":2'

changed POST /api/app/foo_app/disable
holds /api/app/foo_app/disable true
holds /api/job/foo_job/disable true
changed "${enable_app[@]}"
holds /api/app/foo_app/disable false
changed POST /api/job/foo_job/disable
holds /api/job/foo_job/disable true
changed "${enable_job[@]}"
holds /api/job/foo_job/disable false

changed POST /api/job/trigger -d foo_job
queue_shows running '"metaInfo":{"jobName":"foo_job","shardingItems":[1]}'
# A run is active: this one must wait.
changed POST /api/job/trigger -d foo_job
queue_shows ready '{"jobName":"foo_job","times":"1"}'
holds /api/job/tasks/failover '[]'
queue_shows ready ''
queue_shows running ''
for _ in $(seq 100); do
    ask GET '/api/job/events/executions?jobName=foo_job&isSuccess=1'
    grep -qF '"total":4' <<<"$body" && break
    sleep 0.1
done
grep -qF '"total":4' <<<"$body" || fail "not four executions: $body"
holds '/api/job/events/statusTraces?jobName=foo_job&state=TASK_FINISHED&per_page=1' '"source":"CLOUD_SCHEDULER"'
holds /api/job/statistics/tasks/results/online '"successCount":4'
holds /api/job/statistics/jobs/executionType '"transientJobCount":1'
holds '/api/operate/sandbox?appName=foo_app' '/executors/foo_app@-@'
changed POST /api/operate/reconcile/explicit
refused "Repeat explicitReconcile" POST /api/operate/reconcile/implicit

changed "${deregister[@]}"
holds /api/job/jobs '[]'
changed DELETE /api/app/foo_app
holds /api/app/list '[]'
echo "all of generation $generation"
