#!/bin/sh
# Pehra's first boot: sets up the program and the claim from the card, without a network. pehra-setup.service
# starts it at every boot until it is done; each step may be repeated. What was applied is written down in
# /var/lib/pehra/customisation.json, and where it failed also on the card, for whoever looks at it on a laptop.
set -u
export LC_ALL=C
umask 022
root=${PEHRA_ROOT:-}  # of the tests
boot=$root/boot/firmware
from=$boot/pehra
state=$root/var/lib/pehra
log=$root/var/log/pehra-setup.log
mkdir -p "$root/var/log" "$state"

hash=$(sha256sum < "$from/files.sha256" | cut -c1-64)
format=$(cat "$from/format")

write_down() { # RESULT STEP
  reason=$(tail -n 1 "$log" 2>/dev/null | tr -cd 'A-Za-z0-9 ._:/=,-' | cut -c1-200)
  [ "$1" = ok ] && reason=
  printf '{"v":1,"sha256":"%s","format":"%s","at":"%s","result":"%s","step":"%s","reason":"%s"}\n' \
    "$hash" "$format" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$1" "$2" "$reason" > "$state/customisation.json.new"
  chmod 644 "$state/customisation.json.new"
  mv "$state/customisation.json.new" "$state/customisation.json"
  cp "$state/customisation.json" "$from/result.json"
  cp "$log" "$from/setup.log"
  sync
}

step() { # NAME, a function of that name
  echo "== $1" >> "$log"
  if ! "$1" >> "$log" 2>&1; then
    echo "pehra-setup: $1 failed, see $log" >&2
    write_down failed "$1"
    exit 1
  fi
}

verified() { # what is still there is what was written; what is done is gone
  [ "$hash" = "$(cat "$from/customisation.sha256")" ] || { echo "files.sha256 is damaged"; return 1; }
  (cd "$boot" && sha256sum --check --quiet --strict --ignore-missing pehra/files.sha256)
}

user() {
  getent passwd pehra > /dev/null ||
    useradd --system --user-group --home-dir /var/lib/pehra --no-create-home --shell /usr/sbin/nologin pehra || return 1
  for group in video render dialout; do
    getent group "$group" > /dev/null || continue
    usermod --append --groups "$group" pehra || return 1
  done
  install -d -m 700 "$state" "$state/identity" && chown pehra:pehra "$state" "$state/identity"
}

claim() { # the card may be read by everybody, so it goes from there as soon as it is safe
  if [ -e "$from/claim.json" ]; then
    install -m 600 "$from/claim.json" "$state/identity/claim.json.new" &&
      chown pehra:pehra "$state/identity/claim.json.new" &&
      mv "$state/identity/claim.json.new" "$state/identity/claim.json" && sync || return 1
  fi
  rm -f "$from/claim.json"
}

config() {
  install -d -m 755 "$root/etc/pehra" && install -m 644 "$from/site.toml" "$root/etc/pehra/site.toml"
}

camera() { # Debian packages that lie beside the wheels: picamera2 for a Lite image
  set -- "$from"/wheels/*.deb
  [ -e "$1" ] || return 0
  dpkg --install "$@"
}

program() {
  if [ -e "$from/wheels/device.lock" ]; then
    [ -x "$root/opt/pehra/bin/pip" ] || python3 -m venv --system-site-packages "$root/opt/pehra" || return 1
    pip="$root/opt/pehra/bin/pip --disable-pip-version-check --no-input install --no-cache-dir --no-index"
    $pip --find-links "$from/wheels" --require-hashes --requirement "$from/wheels/device.lock" || return 1
    $pip --no-deps --force-reinstall "$from"/wheels/pehra-*.whl || return 1
  fi
  [ -x "$root/opt/pehra/bin/pehra" ] || { echo "Pehra is not installed in /opt/pehra: no wheelhouse on the card"; return 1; }
  # The factory's firmware: what the board goes back to when no release lives. Only root may change it.
  chmod -R go-w "$root/opt/pehra" && install -d -m 755 "$root/usr/local/bin" &&
    ln -sf /opt/pehra/bin/pehra "$root/usr/local/bin/pehra"
}

service() { # writes the launcher too, which is what the service starts
  "$root/opt/pehra/bin/pehra" device unit --install || return 1
  if [ ! -e "$root/etc/pehra/device.toml" ]; then
    install -m 644 "$from/device.toml" "$root/etc/pehra/device.toml" || return 1
  fi
  systemctl daemon-reload && systemctl enable pehra-device.service
}

for name in verified user claim config camera program service; do step "$name"; done
rm -rf "$from/wheels"
if [ -e "$state/firstrun.failed" ]; then
  tail -n 1 "$state/firstrun.failed" >> "$log"
  write_down failed "firstrun$(sed 's/^/ /' "$state/firstrun.failed" | tr -cd 'a-z ')"
else
  write_down ok ""
fi
systemctl disable pehra-setup.service
systemctl start --no-block pehra-device.service
