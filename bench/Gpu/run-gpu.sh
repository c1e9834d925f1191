#!/usr/bin/env bash
# Unpacks what `bench pack` made, beside this script, and runs `gpu` with this script's arguments.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ -x "$here/app/LlamaServe.Bench" ] || tar -C "$here" -xzf "$here/llamaserve-gpu.tar.gz"
if [ -z "${LLAMASERVE_NVRTC:-}" ]; then
  # PyTorch brings an NVRTC of its own, in a folder that the loader does not search.
  nvrtc=$(python3 -c 'import glob, sysconfig; print(next(iter(sorted(glob.glob(sysconfig.get_path("purelib") + "/nvidia/**/libnvrtc.so.*", recursive=True))), ""))' 2>/dev/null || true)
  if [ -n "$nvrtc" ]; then export LLAMASERVE_NVRTC=$nvrtc; fi
fi
exec "$here/app/LlamaServe.Bench" gpu "$@"
