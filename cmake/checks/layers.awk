# The rules of layers.sh.
BEGIN {
  own["core"] = "core"
  own["policy"] = "core policy"
  own["compose"] = "core policy compose"
  own["testing"] = "core policy compose testing"
  own["runtime"] = "core policy compose runtime"
  own["torch"] = "core policy compose torch"
  own["learn"] = "core policy compose learn"
  own["io"] = "core policy compose runtime torch learn io"
  own["capi"] = own["io"] " capi"
  # Third parties, by the beginning of the include, and the layers (or kinds of test) that may name them.
  party["torch"] = party["ATen"] = party["c10"] = party["caffe2"] = "torch"
  party["Eigen"] = party["unsupported"] = "learn"
  party["nlohmann"] = "io load"
  party["fmt"] = "runtime io"
  party["xxhash.h"] = "runtime io"
  # The umbrella and the doors.
  door["galley.hpp"] = "core policy compose runtime"
  door["torch.hpp"] = "core policy compose torch"
  door["learn.hpp"] = "core policy compose learn"
  door["io.hpp"] = "io"
  kinds = "laws contract soak load fuzz compile_fail consumer support checks docs"
}

function has(list, word) { return index(" " list " ", " " word " ") > 0 }
function bad(what) { printf "%s:%d: %s\n", FILENAME, FNR, what; failed = 1 }

# Sets area (include, src, tests, ...) and layer of the current file.
function place(   part, n) {
  n = split(FILENAME, part, "/")
  area = part[1]
  base = part[n]
  layer = ""
  if (area == "include") layer = base == "galley.h" ? "capi" : n > 3 ? part[3] : "door"
  else if (area == "src" || area == "tests") layer = n > 2 ? part[2] : ""
  if (area == "include" && layer != "door" && !(layer in own)) bad("no such layer: " layer)
  if (area == "src" && !(layer in own)) bad("src/<layer>/ holds sources, \"" layer "\" is no layer")
  if (area == "tests" && !(layer in own) && !has(kinds, layer))
    bad("tests mirror the layers, \"" layer "\" is neither a layer nor a kind of test")
  if (area == "tests" && (layer in own) && base ~ /\.cpp$/ && base !~ /(_test|graphs)\.cpp$/ && \
      FILENAME !~ /\/mixed_exceptions\//)
    bad("only *_test.cpp and *graphs.cpp files are compiled, this one never runs")
}

FNR == 1 { place() }

/^[ \t]*#[ \t]*include/ {
  line = $0
  sub(/^[ \t]*#[ \t]*include[ \t]*/, "", line)
  if (line ~ /^"/) {
    if (area != "tests" && area != "examples" && area != "bench") bad("include with angle brackets: " line)
    next
  }
  if (line !~ /^</) next
  sub(/^</, "", line)
  sub(/>.*/, "", line)
  check_include(line)
  next
}

function check_include(name,   part, n, target) {
  n = split(name, part, "/")
  if (part[1] == "galley" || part[1] == "src") {
    target = n > 2 ? part[2] : ""
    if (area == "include" && part[1] == "src") bad("a public header includes the private " name)
    if (area == "include" || area == "src") {
      if (target == "" && name != "galley/version.hpp" && layer != "capi")
        bad("umbrellas are for hosts, include what you use: " name)
      else if (layer == "door") {
        if (target != "" && !has(door[base], target)) bad(base " may not include layer " target ": " name)
      } else if (target != "" && !has(own[layer], target))
        bad("layer " layer " may not include layer " target ": " name)
    }
    if (area == "tests" && has("core policy compose testing laws contract", layer) && target != "" && \
        !has(own["testing"], target))
      bad("tests of galley::core may not include layer " target ": " name)
    return
  }
  if (part[1] in party) {
    if ((area == "include" || area == "src" || area == "tests") && layer != "consumer" && \
        !has(party[part[1]], layer))
      bad("layer " layer " may not name " part[1] ": " name)
    else if (party[part[1]] == "torch" && area == "include" && base != "tensor.hpp")
      bad("torch/tensor.hpp is the one public header that includes LibTorch: " name)
    else if (party[part[1]] == "torch" && area == "src" && base !~ /^torch_(headers|compat)\./)
      bad("sources include LibTorch through src/torch/torch_headers.hpp: " name)
    return
  }
  if (part[1] == "catch2" && FILENAME !~ /^tests\/support\//) bad("tests include <support/catch.hpp>: " name)
  if (name ~ /^[a-z0-9_]+$/) return
  if (area == "include" && layer != "capi") bad("layer " layer " may name only the standard library here: " name)
  else if (area == "src" && layer == "runtime") {
    if (os_file == "") os_file = FILENAME
    if (os_file != FILENAME) bad("calls of the operating system are in one file, " os_file ": " name)
  } else if (area == "src" && layer != "torch" && layer != "capi")
    bad("layer " layer " may not name " name)
}

{
  code = $0
  gsub(/\\"/, "", code)
  gsub(/"[^"]*"/, "\"\"", code)
  sub(/\/\/.*/, "", code)
  if (code == "" || code ~ /^[ \t]*\*/) next
  guest = area == "include" || area == "src"
  if (code ~ /TORCH_VERSION/ && area != "bench" && base !~ /^torch_compat\./)
    bad("only torch_compat tests LibTorch's version")
  if (guest && code ~ /(^|[^A-Za-z0-9_])(v?f?printf|puts|fputs|putchar|perror)[ \t]*\(/)
    bad("a library does not print")
  if (guest && code ~ /std::(cout|cerr|clog)/) bad("a library does not print")
  if (guest && code ~ /(^|[^A-Za-z0-9_.>])(abort|_?exit|_Exit|quick_exit|atexit|terminate)[ \t]*\(/)
    bad("a library does not end its host's process")
  if (guest && code ~ /(^|[^A-Za-z0-9_.>])(secure_)?(getenv|setenv|putenv)[ \t]*\(/)
    bad("a library does not read or write the environment")
  if (guest && code ~ /(^|[^A-Za-z0-9_.>])(signal|sigaction)[ \t]*\(/) bad("a library installs no signal handler")
  if (area == "include" && code ~ /using namespace/) bad("no using namespace in a header")
  if (guest && code ~ /atomic_thread_fence|atomic<[ \t]*(std::)?shared_ptr/)
    bad("no fences and no atomic shared_ptr: the thread sanitizer cannot follow them")
  # core/time.hpp is where the steady clock is named.
  timeless = FILENAME != "include/galley/core/time.hpp" && (guest && has("core policy compose learn door", layer) || area == "tests")
  if (timeless && code ~ /_clock::now|sleep_for|sleep_until|usleep|nanosleep/)
    bad("time comes from an Executor")
  if (guest && has("core policy compose learn door", layer) && code ~ /std::j?thread([^:_A-Za-z0-9]|$)/)
    bad("threads come from an Executor")
}

END { exit failed }
