#!/usr/bin/env bash
# A Debian arm64 root in a folder, made once: debootstrap, its second stage under qemu-user. Needs root.
#   tests/arm/root.sh FOLDER
# The finished root appears at FOLDER whole or not at all; with a finished one there, nothing is done.
set -euo pipefail

root=$1
suite=bookworm
packages=python3,python3-venv,ca-certificates,libstdc++6
made_of="$suite $packages"
marker=etc/pehra-arm-root

say() { echo "test-arm: $*" >&2; }
give_up() { say "$*"; exit 2; }

if [ -f "$root/$marker" ] && [ "$(cat "$root/$marker")" = "$made_of" ]; then exit 0; fi

[ "$(id -u)" -eq 0 ] || give_up "needs root (chroot, debootstrap): sudo make test-arm"
for tool in debootstrap unshare chroot; do
  command -v "$tool" >/dev/null || give_up "there is no $tool: apt install debootstrap qemu-user-static util-linux"
done

mirror() {  # where apt takes this suite from; PEHRA_ARM_MIRROR names another
  apt-get indextargets --format '$(REPO_URI)' "Codename: $suite" 'Origin: Debian' 'Component: main' 2>/dev/null |
    head -n 1
}
from=${PEHRA_ARM_MIRROR:-$(mirror)}
[ -n "$from" ] || give_up "apt knows no mirror of Debian $suite: set PEHRA_ARM_MIRROR=http://..."

new="$root.new"
rm -rf --one-file-system "$new"
mkdir -p "$new"
say "Debian $suite for arm64 into $new (some minutes, once)"
debootstrap --arch=arm64 --foreign --variant=minbase --include="$packages" "$suite" "$new" "$from" >"$new.log" 2>&1 ||
  { tail -n 20 "$new.log" >&2; give_up "debootstrap failed; its log is $new.log"; }
# In a mount namespace of its own: nothing stays mounted, whatever happens.
unshare --mount --fork chroot "$new" /debootstrap/debootstrap --second-stage >>"$new.log" 2>&1 ||
  { tail -n 20 "$new.log" >&2; give_up "the second stage failed; its log is $new.log"; }
rm -rf "$new"/var/cache/apt/archives/*.deb "$new"/var/lib/apt/lists/*
echo "$made_of" >"$new/$marker"
rm -rf --one-file-system "$root"
mv "$new" "$root"
rm -f "$new.log"
say "root is ready at $root"
