#!/usr/bin/env bash
# Sees to it that the kernel runs aarch64 programs here: by itself on aarch64, else by qemu-user. Needs root.
set -euo pipefail

give_up() { echo "test-arm: $*" >&2; exit 2; }

[ "$(uname -m)" = aarch64 ] && exit 0
at=/proc/sys/fs/binfmt_misc
handler=$at/qemu-aarch64
is_there() { [ -f "$handler" ] && grep -qx enabled "$handler"; }

is_there && exit 0
[ "$(id -u)" -eq 0 ] || give_up "needs root (binfmt_misc): sudo make test-arm"
[ -e "$at/register" ] || mount -t binfmt_misc binfmt_misc "$at" ||
  give_up "the kernel has no binfmt_misc: modprobe binfmt_misc, or a kernel that has it"
is_there && exit 0
interpreter=$(command -v qemu-aarch64-static) || give_up "there is no qemu: apt install qemu-user-static"
# ELF, 64 bit, little endian, EM_AARCH64 = 183 (binfmt_misc of the kernel's documentation); F keeps the
# interpreter open, so that a root without it can be entered.
magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
printf '%s' ":qemu-aarch64:M:0:$magic:$mask:$interpreter:F" >"$at/register"
is_there || give_up "qemu-aarch64 could not be registered in $at"
