#!/bin/sh
# Install locks into a virtual environment, which is made where it is missing: sh requirements/install.sh VENV LOCK...
# pip brings uv, uv brings the rest: every file by its hash, wheels only, so that nothing of a package runs here.
# Where no terminal watches, one line tells what was installed; uv shows its own progress where one does.
set -eu
here=$(dirname "$0") venv=$1 base=${PYTHON:-python3}
shift
python=$venv/bin/python

if ! [ -x "$python" ]; then
  "$base" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    { echo "$base is older than Python 3.11; name a newer one, as in: PYTHON=python3.12" >&2; exit 2; }
  "$base" -m venv --without-pip "$venv"
fi
has=$python # pip; by the one that is there already: to unpack one takes longer than to install a small lock
if ! "$python" -c 'import pip' 2> /dev/null; then
  has=$base
  "$base" -c 'import pip, sys; sys.exit(int(pip.__version__.split(".")[0]) < 23)' 2> /dev/null ||
    { "$base" -m venv "$venv"; has=$python; }
fi
# beside what takes longer; a mirror's address may hold a password
trap 'rm -f "$venv/.pip"' EXIT
(umask 077; exec "$has" -m pip config list > "$venv/.pip") &
"$has" -m pip --python "$python" install --quiet --disable-pip-version-check --no-compile \
  --require-hashes --only-binary :all: -r "$here/uv.txt"

# uv does not read pip's configuration: a mirror that pip is told to use is used by both.
wait $! || true
mirror=$(sed -n "s/^[a-z:]*[.]index-url='\(.*\)'$/\1/p" "$venv/.pip" | tail -n 1)
[ -z "$mirror" ] || export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$mirror}"
export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}" # as pip does

quiet=
[ -t 2 ] || quiet=--quiet
for lock; do
  "$venv/bin/uv" pip install $quiet --python "$python" --require-hashes --only-binary :all: -r "$here/$lock.txt"
  echo "installed requirements/$lock.txt into $venv" >&2
done
