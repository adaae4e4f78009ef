#!/bin/sh
# Compile the locks: universal, pinned by hash, without index addresses.
set -eu
uv=.venv/bin/uv
compile() {
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
        --no-emit-index-url --no-emit-find-links --upgrade "$@"
}
compile pyproject.toml --extra gateway --extra dispatch --extra send --extra timeout --extra webhook --extra admin \
    --extra cli --output-file requirements/runtime.txt
compile pyproject.toml requirements/build.in --all-extras --group dev --output-file requirements/dev.txt
