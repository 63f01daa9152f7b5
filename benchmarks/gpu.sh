#!/usr/bin/env bash
# What measuring costs on an NVIDIA GPU, within six minutes: device tests, kernels beside copy and sum, waits of the host,
# step time of two models. Every part has a limit; what a part printed until then stays.
#
#   benchmarks/gpu.sh                   writes benchmarks/results/gpu.md
#   benchmarks/gpu.sh --dry [FILE]      the same parts on the CPU, tiny, kernels in Triton's interpreter, written to FILE
#   PYTHON=python3.12 benchmarks/gpu.sh
#
# It needs torch, triton, numba, numpy, pandas and pyarrow; pytest, hypothesis and ml_dtypes for the tests; wandb for its line.
set -uo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
export PYTHONPATH="$PWD:$PWD/tests${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1

device=cuda models="gpt2-small gpt-350m" seconds=30 result=benchmarks/results/gpu.md patience=1
tests=(tests/measure/test_device.py tests/measure/test_device_blocks.py tests/track/torch/test_device.py -k "cuda or gpu")
if [ "${1:-}" = --dry ]; then
    device=cpu models=tiny seconds=2 result=${2:-/dev/stdout} patience=60
    tests=(tests/track/torch/test_device.py -k "merged_on_the_way and cpu")
    export TRITON_INTERPRET=1 OMP_NUM_THREADS=1
fi
report=$(mktemp)
trap 'rm -f "$report"' EXIT
failed=0

# part LIMIT TITLE COMMAND...: append what a command prints within so many seconds.
part() {
    local limit=$(($1 * patience)) title=$2 log
    shift 2
    log=$(mktemp)
    echo "$title" >&2
    if [ -n "$title" ]; then printf '## %s\n\n' "$title" >>"$report"; fi
    timeout --kill-after=5 "$limit" "$@" >>"$report" 2>"$log"
    local status=$?
    case $status in
    0) ;;
    124 | 137) printf '\nStopped after %s s.\n' "$limit" >>"$report" ;;
    *)
        failed=1
        printf '\nFailed with status %s:\n\n```text\n%s\n```\n' "$status" "$(tail -5 "$log")" >>"$report"
        ;;
    esac
    rm -f "$log"
    echo >>"$report"
}

cost() { part "$1" "$2" "$python" benchmarks/gpu.py --device "$device" "${@:3}"; }

printf '# Cost of measuring on a GPU\n\n' >"$report"
cost 60 "" machine # which takes seconds, but not on a busy machine
if [ $failed = 1 ] || grep -q '^Stopped after' "$report"; then
    cat "$report" >&2
    exit 1
fi
printf 'Made by `benchmarks/gpu.sh %s`.\n\n' "$*" >>"$report"
part 90 "Device tests" "$python" -m pytest -p no:cacheprovider "${tests[@]}"
cost 45 "Kernels" kernel
for model in $models; do
    cost 40 "$model" "$model" --seconds "$seconds"
done
cost 45 "Waits of the host in tracked steps" waits
if [ $device = cuda ]; then
    cost 40 "gpt2-small, compiled" gpt2-small --compiled --seconds 35
    cost 60 "gpt-350m, compiled" gpt-350m --compiled --seconds 50
fi
cat "$report" >"$result"
echo "written to $result" >&2
exit $failed
