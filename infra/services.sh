#!/bin/sh
# What the tests want beside Python: a JVM with Maven (Kafka), PostgreSQL, Chromium, kcat, stilts.
# With root and apt they are installed; otherwise what is missing is named and its tests skip (under CI=true they fail).
set -u
missing=""
command -v java >/dev/null 2>&1 || missing="$missing default-jre-headless"
command -v mvn >/dev/null 2>&1 || missing="$missing maven"
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
command -v kcat >/dev/null 2>&1 || missing="$missing kcat"
command -v stilts >/dev/null 2>&1 || missing="$missing stilts"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "installing for the tests:$missing"
  if apt-get update -qq; then
    # One package that cannot be had must not keep the others away.
    for package in $missing; do
      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null || echo "could not install $package"
    done
    exit 0
  fi
fi
echo "not here, so their tests skip:$missing"
exit 0
