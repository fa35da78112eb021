#!/usr/bin/env bash
# Installs graphsec into an environment of its own: version $VERSION from PyPI, or the checkout $ACTION with locked dependencies.
set -euo pipefail

home=$RUNNER_TEMP/graphsec
"${PYTHON:-python3}" -m venv "$home"
pip=("$home/bin/python" -m pip --disable-pip-version-check --quiet install)
if [ -n "${VERSION:-}" ]; then
    "${pip[@]}" "graphsec==$VERSION"
else
    "${pip[@]}" --require-hashes -r "$ACTION/requirements.lock"
    # The build backend is in the lock too; an isolated build would fetch one without a hash.
    "${pip[@]}" --no-deps --no-build-isolation "$ACTION"
fi
echo "$home/bin" >>"$GITHUB_PATH"
"$home/bin/graphsec" --version
