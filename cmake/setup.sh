# Shared by examples/demo.sh, tests/run.sh, bench/run.sh and .ci/run, which source it from the top of
# the tree: installs what is missing, gets a LibTorch, configures and builds. Says what it does.

say() { printf 'galley: %s\n' "$*"; }

# The Debian packages among the arguments that are not installed.
missing_packages() {
  for package in "$@"; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || state=absent
    [ "$state" = installed ] || echo "$package"
  done
}

# Installs the Debian packages that are missing. Nothing missing: no network.
install_packages() {
  if ! command -v dpkg-query >/dev/null 2>&1; then
    say "not a Debian system; going on with what is installed (wanted: $*)"
    return 0
  fi
  missing=$(missing_packages "$@" | tr '\n' ' ')
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    say "packages are missing; install them and start again: sudo apt-get install $missing"
    return 1
  fi
  say "installing with apt: $missing"
  apt_install $missing || { say "apt could not install: $missing"; return 1; }
}

apt_install() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -y -qq --no-install-recommends "$@" </dev/null >/dev/null 2>&1 && return 0
  apt-get update -qq </dev/null && apt-get install -y -qq --no-install-recommends "$@" </dev/null \
    >/dev/null
}

# Installs what is good to have, or says what goes without it; tries once a build tree.
may_install() {
  command -v dpkg-query >/dev/null 2>&1 || return 0
  missing=$(missing_packages "$@" | tr '\n' ' ')
  [ -n "$missing" ] || return 0
  mark=build/tried-to-install
  if [ "$(id -u)" -eq 0 ] && [ ! -e "$mark" ]; then
    say "installing with apt: $missing"
    apt_install $missing && return 0
    mkdir -p build && touch "$mark"
  fi
  say "going on without: $missing(the checks that need them are left out)"
}

# Sets torch_dir (empty: the system's, if any) and torch_reason to what CMake would choose.
locate_torch() {
  found=$(cmake "$@" "-DPLACES=$PWD/build/venv" -P cmake/which_torch.cmake)
  torch_dir=$(printf '%s\n' "$found" | sed -n 1p)
  torch_reason=$(printf '%s\n' "$found" | sed -n 2p)
}

# pip's LibTorch in build/venv; the mark tells a finished installation from one cut short.
pip_torch() {
  mark=build/venv/galley-complete
  [ ! -e "$mark" ] || return 0
  rm -rf build/venv
  install_packages python3 python3-venv || return 1
  python3 -m venv build/venv || return 1
  wheel='torch==2.13.0+cpu'
  pip="timeout 600 build/venv/bin/python -m pip --disable-pip-version-check --no-input -q"
  say "pip install --no-deps '$wheel' into build/venv, from the configured indexes"
  if ! $pip install --retries 1 --no-deps "$wheel"; then
    say "not there; trying PyTorch's own CPU wheel index for at most two minutes"
    timeout 120 $pip install --retries 1 --timeout 15 --no-deps "$wheel" \
      --index-url https://download.pytorch.org/whl/cpu || return 1
  fi
  touch "$mark"
}

# Gets a LibTorch: the one the user names (in the environment or as -D arguments), pip's, Debian's.
get_torch() {
  case "$*" in *GALLEY_WITH_TORCH=OFF*) return 0 ;; esac
  [ -e build/venv/galley-complete ] || rm -rf build/venv
  locate_torch "$@"
  if [ -z "$torch_dir" ]; then
    if [ -e build/no-pip-torch ]; then
      say "pip's LibTorch could not be had last time; to try again, remove build/no-pip-torch"
    elif ! pip_torch; then
      rm -rf build/venv
      touch build/no-pip-torch
      say "pip's LibTorch cannot be had here; taking Debian's"
    fi
    [ ! -e build/no-pip-torch ] || install_packages libtorch-dev libopenblas0-pthread
    locate_torch "$@"
  fi
  say "LibTorch: ${torch_dir:-the one find_package looks up} ($torch_reason)"
}

# As many compilers as there are cores, and memory for: one takes up to 1.2 GB.
jobs() {
  cores=$(nproc 2>/dev/null || echo 2)
  room=$(awk '/^MemAvailable:/ { print int($2 / 1258291) }' /proc/meminfo 2>/dev/null)
  [ "${room:-$cores}" -ge 1 ] || room=1
  [ "${room:-$cores}" -lt "$cores" ] && echo "$room" || echo "$cores"
}

# configure <build directory> [cmake argument...]
configure() {
  tree=$1
  shift
  launcher=
  command -v ccache >/dev/null 2>&1 && launcher=-DCMAKE_CXX_COMPILER_LAUNCHER=ccache
  # LibTorch is chosen anew: what the environment and the arguments name now is what counts.
  cmake -S . -B "$tree" -G Ninja -DCMAKE_BUILD_TYPE=Release $launcher -UTorch_DIR \
    -UGALLEY_TORCH_CHOSEN "$@"
}

# setup [package...] [cmake argument...]: all of the above for build/release.
setup() {
  packages=
  while [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; do
    packages="$packages $1"
    shift
  done
  mkdir -p build
  install_packages g++ cmake ninja-build ccache libfmt-dev libeigen3-dev $packages
  get_torch "$@"
  configure build/release "$@"
}

JOBS=${JOBS:-$(jobs)}
export JOBS
# What was compiled in one clone counts in another.
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1
