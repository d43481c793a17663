#!/bin/sh
cd /work/wt-b; export WEBSPACES=$PWD/build/webspaces
exec timeout ${T:-300} tests/private /usr/bin/python3 -B -m pytest -p no:cacheprovider -q -x --tb=short --durations=4 "$@"
