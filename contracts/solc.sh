#!/bin/sh
# Gives the npm package of the Solidity compiler the command line that forge and py-solc-x expect of solc.
solc="$(dirname "$0")/node_modules/solc/solc.js"
case "$*" in *--version*) exec node "$solc" --version ;; esac
# Through files: node neither reads the non-blocking pipe that forge opens nor empties a full one before it exits.
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
cat > "$folder/input" && node "$solc" --standard-json < "$folder/input" > "$folder/output"
status=$?
sed '/^>>> /d' "$folder/output"
exit $status
