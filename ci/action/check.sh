#!/usr/bin/env bash
# Runs the gate: table to the log, annotations to the change, Markdown to the summary, SARIF to a file. Inputs come by
# variables and stay single words: nothing of them is run.
set -uo pipefail

words=(check)
read -ra packs <<<"${PACKS//$'\n'/ }"
words+=(${packs[@]+"${packs[@]}"})
while IFS= read -r path; do
    [ -n "$path" ] && words+=(-f "$path")
done <<<"$PATHS"
[ -n "$FAIL_ON" ] && words+=(--fail-on "$FAIL_ON")
[ -n "$BASELINE" ] && words+=(--baseline "$BASELINE")
[ -n "$EXCEPTIONS" ] && words+=(--exceptions "$EXCEPTIONS")
while IFS= read -r word; do
    [ -n "$word" ] && words+=("$word")
done <<<"$ARGS"

reports=$(mktemp -d "$RUNNER_TEMP/graphsec-reports.XXXXXX")
words+=(--out "github=$reports/annotations" --out "markdown=$reports/summary" --out "sarif=$SARIF")
# A report of an earlier step is not one of this run.
rm -f -- "$SARIF"

# Names of the input stand in the log: until the token comes again, no line of it is a command to the runner.
token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
echo "::stop-commands::$token"
graphsec "${words[@]}"
code=$?
echo
echo "::$token::"

if [ -f "$reports/annotations" ]; then
    cat "$reports/annotations"
    cat "$reports/summary" >>"$GITHUB_STEP_SUMMARY"
fi
{
    echo "exit-code=$code"
    [ -f "$SARIF" ] && echo "sarif-file=$SARIF" || echo "sarif-file="
} >>"$GITHUB_OUTPUT"
exit "$code"
