#!/usr/bin/env bash
# The device's unit tests on aarch64: a Debian arm64 root under qemu-user, the real aarch64 wheels. Needs root.
#   make test-arm                 all of them
#   make test-arm ARGS="-k board" those that pytest picks
# PEHRA_ARM_ROOT is the folder of the root (default ~/.cache/pehra/arm64-root): some 1.5 GB, kept for the next run.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
tree=$(cd "$here/../.." && pwd)
root=${PEHRA_ARM_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/pehra/arm64-root}
wheels=$root-wheels
lock=$tree/requirements/arm-test.lock
python=${PYTHON:-$tree/.venv/bin/python}

say() { echo "test-arm: $*" >&2; }
in_root() {  # a command in the root, in namespaces of its own: mounts and processes end with it
  unshare --mount --pid --fork --kill-child bash -euc '
    root=$1; shift
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs tmpfs "$root/tmp"
    exec chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LANG=C.UTF-8 "$@"
  ' in-root "$root" "$@"
}

"$here/binfmt.sh"
mkdir -p "$(dirname "$root")"
"$here/root.sh" "$root"

installed=$root/opt/pehra/installed
digest=$(sha256sum "$lock" | cut -d ' ' -f 1)
if [ ! -f "$installed" ] || [ "$(cat "$installed")" != "$digest" ]; then
  say "fetching the aarch64 wheels of $(basename "$lock")"
  mkdir -p "$wheels"
  "$python" -m pip download --quiet --disable-pip-version-check --require-hashes --no-deps --dest "$wheels" \
    --only-binary :all: --implementation cp --python-version 3.11 --abi cp311 --abi abi3 --abi none \
    --platform manylinux_2_34_aarch64 --platform manylinux_2_31_aarch64 --platform manylinux_2_28_aarch64 \
    --platform manylinux_2_27_aarch64 --platform manylinux_2_26_aarch64 --platform manylinux_2_17_aarch64 \
    --platform manylinux2014_aarch64 --platform any --requirement "$lock"
  say "installing them under qemu (some minutes, once for each lock)"
  rm -rf "$root/opt/pehra"
  mkdir -p "$root/opt/pehra/wheels"
  cp "$wheels"/*.whl "$lock" "$root/opt/pehra/wheels/"
  in_root python3 -m venv /opt/pehra/venv
  in_root /opt/pehra/venv/bin/python -m pip install --quiet --disable-pip-version-check --no-index --no-deps \
    --find-links /opt/pehra/wheels --require-hashes --requirement /opt/pehra/wheels/arm-test.lock
  rm -rf "$root/opt/pehra/wheels"
  echo "$digest" >"$installed"
fi

say "copying the working tree"
rm -rf "$root/opt/pehra/src"
mkdir -p "$root/opt/pehra/src"
(cd "$tree" && git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
  [ -f "$file" ] && printf '%s\0' "$file"
done | tar --null --files-from - --create) | tar --extract --directory "$root/opt/pehra/src"
in_root /opt/pehra/venv/bin/python -m pip install --quiet --disable-pip-version-check --no-index --no-deps \
  --no-build-isolation --editable /opt/pehra/src

say "$(in_root uname -m), $(in_root /opt/pehra/venv/bin/python --version), $(in_root /opt/pehra/venv/bin/python -c \
  'import numpy, cv2, importlib.metadata as m; print("numpy", numpy.__version__, "opencv", cv2.__version__, \
  "ai-edge-litert", m.version("ai-edge-litert"))')"
# Not the device's: what imports the fleet, brokers, flashing, training and quantising, and what wants a git checkout.
left_out=()
for name in fleet identity access broker flash rollout training models_quantise models_evaluation documentation; do
  left_out+=("--ignore-glob=*/test_${name}*")
done
while IFS= read -r file; do
  left_out+=("--ignore=$file")
done < <(cd "$tree" && grep -lE '^ *(from|import) fleet\b' tests/unit/test_*.py)
started=$(date +%s)
status=0
# qemu is slow: pytest's limit of a test is ten times as long, and hypothesis (profile ci) has none for an example.
in_root bash -c 'cd /opt/pehra/src && PEHRA_QEMU=1 exec /opt/pehra/venv/bin/python -m pytest "$@"' pytest tests/unit \
  -o timeout=1800 --hypothesis-profile=ci -p no:cacheprovider "${left_out[@]}" "$@" || status=$?
say "pytest ended with $status after $(($(date +%s) - started)) s"
exit "$status"
