# Started once by the kernel's command line (systemd.run), before the network; the board restarts after it.
# A step that fails is written down and does not stop the others: a board that can be reached can be mended.
set -u
export LC_ALL=C
root=${PEHRA_ROOT:-}  # of the tests
boot=$root/boot/firmware
from=$boot/pehra
imager=$root/usr/lib/raspberrypi-sys-mods/imager_custom
state=$root/var/lib/pehra
install -d -m 755 "$root/var/log"
install -d -m 700 "$state"
rm -f "$state/firstrun.failed"
exec >> "$root/var/log/pehra-setup.log" 2>&1

step() { # NAME, a function of that name
  echo "== firstrun $1"
  "$1" || echo "$1" >> "$state/firstrun.failed"
}

verified() {
  (cd "$boot" && sha256sum --check --quiet --strict pehra/files.sha256)
}

hostname() {
  [ -n "$hostname" ] || return 0
  if [ -x "$imager" ]; then "$imager" set_hostname "$hostname"; return; fi
  was=$(tr -d ' \t\r\n' < "$root/etc/hostname")
  echo "$hostname" > "$root/etc/hostname" && sed -i "s/127\.0\.1\.1.*$was/127.0.1.1\t$hostname/" "$root/etc/hosts"
}

login() { # by key alone: an account has no password that anybody could know or guess
  [ -e "$from/authorized_keys" ] || return 0
  first=$(getent passwd 1000 | cut -d: -f1)
  home=$(getent passwd 1000 | cut -d: -f6)
  install -d -m 700 "$root$home/.ssh" && install -m 600 "$from/authorized_keys" "$root$home/.ssh/authorized_keys" &&
    chown -R "$first:$first" "$root$home/.ssh" || return 1
  install -d -m 755 "$root/etc/ssh/sshd_config.d" &&
    echo 'PasswordAuthentication no' > "$root/etc/ssh/sshd_config.d/10-pehra.conf" || return 1
  if [ -x "$root/usr/lib/userconf-pi/userconf" ]; then
    "$root/usr/lib/userconf-pi/userconf" "$user" '*' || return 1
  elif [ "$first" != "$user" ]; then
    usermod --login "$user" "$first" && usermod --move-home --home "/home/$user" "$user" &&
      groupmod --new-name "$user" "$first" || return 1
  fi
  systemctl enable ssh
}

network() {
  [ -e "$from/wifi.nmconnection" ] || return 0
  install -d -m 700 "$root/etc/NetworkManager/system-connections" &&
    install -m 600 "$from/wifi.nmconnection" "$root/etc/NetworkManager/system-connections/pehra-wifi.nmconnection" ||
    return 1
  raspi-config nonint do_wifi_country "$country" || return 1
  for switch in "$root"/var/lib/systemd/rfkill/*:wlan; do
    [ ! -e "$switch" ] || echo 0 > "$switch"
  done
}

clock() {
  [ -n "$timezone" ] || return 0
  if [ -x "$imager" ]; then "$imager" set_timezone "$timezone"; return; fi
  echo "$timezone" > "$root/etc/timezone" && ln -sf "/usr/share/zoneinfo/$timezone" "$root/etc/localtime"
}

keyboard() {
  [ -n "$keyboard" ] || return 0
  if [ -x "$imager" ]; then "$imager" set_keymap "$keyboard"; return; fi
  sed -i "s/^XKBLAYOUT=.*/XKBLAYOUT=\"$keyboard\"/" "$root/etc/default/keyboard"
}

locale() {
  [ -z "$locale" ] || raspi-config nonint do_change_locale "$locale"
}

setup() {
  install -D -m 644 "$from/pehra-setup.service" "$root/etc/systemd/system/pehra-setup.service" &&
    systemctl enable pehra-setup.service
}

for name in verified hostname login network clock keyboard locale setup; do step "$name"; done
rm -f "$from/wifi.nmconnection" "$from/authorized_keys" "$boot/firstrun.sh"
sed -i 's/ systemd\.run[^ ]*//g; s/ systemd\.unit=kernel-command-line\.target//' "$boot/cmdline.txt"
sync
exit 0
