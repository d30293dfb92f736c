#!/usr/bin/env python3
"""Exports a PyTorch model in the forms that galley serves.

    python3 examples/export_model.py SOURCE OUT [options]
    python3 examples/export_model.py --prepare [--python DIRECTORY]

SOURCE  file.py:function, where function() gives (module, inputs): a torch.nn.Module, and a dict of
        example batches [n, ...] with n >= 2, in the order of forward's arguments; or
        (module, inputs, free) with free = {"input": [d, ...]}, the dimensions after the first that
        may have other sizes. Or "mlp", a small network that is built in.
OUT     where to write, without an extension:
        OUT.pt       TorchScript                               galley::torch_script
        OUT.pt2      AOTInductor package, any batch in --batch  galley::torch_package
        OUT_8.pt2    one for a batch of 8, for each of --fixed
        OUT.json     names, dtypes and row shapes of inputs and outputs, and what files there are

What each file answers is compared with what the module answers: 1e-5 + 1e-4 |x|, unless --tolerance
says otherwise; where they differ the program fails and leaves no files.

It makes a virtual environment (build/python) that takes torch from build/venv where that is
there, and installs the Python packages that torch needs to export. Run again with nothing changed
it returns at once.

With --prepare it makes the environment and no more.

Exit status: 0 exported, or up to date; 1 the model cannot be exported, or its forms differ; 2 wrong
arguments; 3 this machine cannot export (no torch, no packages, no C++ compiler): the text says why.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
WHEEL = "torch==2.13.0+cpu"
# What the wheel asks for, and what that asks for; named one by one so that no other torch comes along.
PACKAGES = {
    "typing_extensions": "typing_extensions", "sympy": "sympy", "mpmath": "mpmath",
    "networkx": "networkx", "jinja2": "jinja2", "markupsafe": "markupsafe", "fsspec": "fsspec",
    "filelock": "filelock", "numpy": "numpy", "setuptools": "setuptools",
}
FORMAT = "galley model signature 1"
CANNOT = 3


def say(text):
    print(f"export_model: {text}", flush=True)


def cannot(text):
    say(f"cannot export here: {text}")
    sys.exit(CANNOT)


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="?")
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--prepare", action="store_true", help="make the environment and no more")
    parser.add_argument("--batch", default="1:1024", metavar="MIN:MAX",
                        help="the sizes that OUT.pt2 takes (default 1:1024)")
    parser.add_argument("--fixed", default="", metavar="N,...",
                        help="sizes that get a package of their own")
    parser.add_argument("--outputs", default="", metavar="NAME,...",
                        help="names for outputs that come by position")
    parser.add_argument("--uses", type=Path, action="append", default=[], metavar="FILE",
                        help="what function() reads: exported again when it changes")
    parser.add_argument("--tolerance", default="1e-5,1e-4", metavar="ABSOLUTE,RELATIVE")
    parser.add_argument("--threads", type=int, default=1,
                        help="threads of one operation in a package (default 1: galley runs calls "
                             "side by side)")
    parser.add_argument("--march", default="native",
                        help="what the packages' code is compiled for, as the C++ compiler names it")
    parser.add_argument("--torch", type=Path, metavar="DIRECTORY",
                        help="the site-packages that has torch (default: of build/venv)")
    parser.add_argument("--python", type=Path, default=TOP / "build" / "python",
                        help="the virtual environment to make or use")
    args = parser.parse_args()
    try:
        low, high = (int(n) for n in args.batch.split(":"))
        args.batch = (low, high)
        args.fixed = sorted({int(n) for n in args.fixed.split(",") if n})
        args.outputs = [name for name in args.outputs.split(",") if name]
        args.tolerance = tuple(float(x) for x in args.tolerance.split(","))
        if not 1 <= low < high or any(n < 1 for n in args.fixed) or len(args.tolerance) != 2:
            raise ValueError
    except ValueError:
        parser.error("expected --batch MIN:MAX with 1 <= MIN < MAX, --fixed N,N, --tolerance A,R")
    if args.prepare:
        return args
    if args.out is None:
        parser.error("expected SOURCE and OUT, or --prepare")
    for file in args.uses:
        if not file.is_file():
            parser.error(f"no such file: {file}")
    args.path, _, args.function = args.source.rpartition(":")
    if args.path and not Path(args.path).is_file():
        parser.error(f"no such file: {args.path}")
    if not args.path and args.source not in BUILT_IN:
        parser.error(f"expected file.py:function or one of {', '.join(BUILT_IN)}, got {args.source}")
    return args


# ---- what was exported before, and the environment: nothing of torch yet ------------------------


def stamp_of(args):
    """Changes when what would be written does."""
    stamp = hashlib.sha256(Path(__file__).read_bytes())
    for file in [*([args.path] if args.path else []), *args.uses]:
        stamp.update(Path(file).read_bytes())
    stamp.update(repr([args.source, args.batch, args.fixed, args.outputs, args.tolerance,
                       args.threads, args.march, WHEEL]).encode())
    return stamp.hexdigest()


def files_of(args):
    files = {"script": args.out.name + ".pt", "package": args.out.name + ".pt2"}
    fixed = {str(n): f"{args.out.name}_{n}.pt2" for n in args.fixed}
    return files, fixed


def is_up_to_date(args):
    signature = args.out.parent / (args.out.name + ".json")
    try:
        if json.loads(signature.read_text())["stamp"] != stamp_of(args):
            return False
    except (OSError, ValueError, KeyError):
        return False
    files, fixed = files_of(args)
    return all((args.out.parent / name).is_file() for name in [*files.values(), *fixed.values()])


def run(command):
    """Runs it; its last line of trouble, or nothing."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, text=True, timeout=900,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    return lines[-1] if lines else f"{command[0]} failed"


def can_import(python, names):
    """Those of `names` that `python` does not find."""
    found = subprocess.run(
        [python, "-c", "import importlib.util as u, sys\n"
         "print(*[n for n in sys.argv[1:] if u.find_spec(n) is None])", *names],
        capture_output=True, text=True, check=False)
    return found.stdout.split() if found.returncode == 0 else list(names)


def add_path(python, name, directory):
    """Lets an environment see the modules of another directory."""
    site = subprocess.run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
                          capture_output=True, text=True, check=True).stdout.strip()
    file = Path(site) / name
    if not file.is_file() or file.read_text() != f"{directory}\n":
        file.write_text(f"{directory}\n")


def debian_packages(python, missing):
    """The packages from Debian, where its Python is of the same version."""
    if not shutil.which("apt-get") or os.geteuid() != 0:
        return "apt-get needs Debian and root"
    version = "import sys; print(sys.version_info[:2])"
    ours, debians = (subprocess.run([p, "-c", version], capture_output=True, text=True,
                                    check=False).stdout for p in (python, "/usr/bin/python3"))
    if ours != debians:
        return "Debian's Python is of another version"
    names = ["python3-" + name.replace("_", "-") for name in missing]
    trouble = run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *names])
    if not trouble:
        add_path(python, "galley-debian.pth", "/usr/lib/python3/dist-packages")
    return trouble


def environment(args):
    """A Python that can export, installed where it is missing."""
    if not (shutil.which(os.environ.get("CXX", "g++")) or shutil.which("c++")):
        cannot("AOTInductor compiles what it packages, and there is no C++ compiler (apt-get install "
               "g++)")
    python = args.python / "bin" / "python"
    venv = TOP / "build" / "venv"
    site = args.torch or next(iter(sorted(venv.glob("lib/python3*/site-packages"))), None)
    base = site.parents[2] / "bin" / "python" if site else Path(sys.executable)
    if not base.is_file():
        base = Path(sys.executable)
    if not python.is_file():
        say(f"making a virtual environment, {args.python}")
        trouble = run([str(base), "-m", "venv", str(args.python)])
        if trouble:
            cannot(f"{base} -m venv: {trouble} (Debian: apt-get install python3-venv)")
    if site and (site / "torch").is_dir():
        add_path(python, "galley-torch.pth", site.resolve())
    pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input",
           "--no-deps"]
    if can_import(python, ["torch"]):
        say(f"pip install --no-deps '{WHEEL}'")
        trouble = run([*pip, WHEEL]) and run(
            [*pip, WHEEL, "--index-url", "https://download.pytorch.org/whl/cpu"])
        if trouble:
            cannot(f"pip install {WHEEL}: {trouble}")
    missing = can_import(python, PACKAGES)
    if missing:
        install(python, pip, missing)
    return python


def install(python, pip, missing):
    """The packages that torch needs, and the proof that they are what it needs."""
    say(f"pip install {' '.join(missing)}")
    trouble = run([*pip, *(PACKAGES[name] for name in missing)])
    from_debian = bool(trouble)
    if trouble:
        say(f"pip could not: {trouble}; trying Debian's packages")
        trouble = debian_packages(python, missing)
    missing = can_import(python, missing)
    if not missing:
        trouble = run([str(python), "-c", "import torch, torch._inductor.compile_fx"])
        if not trouble:
            return
    if from_debian:
        add_path(python, "galley-debian.pth", "")
    cannot(f"torch needs Python packages that can be had neither from pip nor, new enough, from "
           f"Debian here ({', '.join(missing) or 'all are there, but torch says'}: {trouble})")


def outside(args):
    if args.prepare:
        environment(args)
        return 0
    if is_up_to_date(args):
        (args.out.parent / (args.out.name + ".json")).touch()
        say(f"{args.out}.pt, .pt2 are up to date")
        return 0
    python = environment(args)
    return subprocess.run([str(python), __file__, *sys.argv[1:]], check=False, env={
        **os.environ, "GALLEY_EXPORT_INSIDE": "1", "CUDA_VISIBLE_DEVICES": "",
        "TORCHINDUCTOR_CACHE_DIR": str(args.python.resolve() / "compiled")}).returncode


# ---- the models ---------------------------------------------------------------------------------


def mlp():
    """Two linear layers, 64 - 64 - 64."""
    import torch
    torch.manual_seed(1)
    net = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 64))
    return net, {"x": torch.randn(4, 64)}


BUILT_IN = {"mlp": mlp}


def load_source(args):
    if not args.path:
        return BUILT_IN[args.source]()
    spec = importlib.util.spec_from_file_location("galley_exported", args.path)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(Path(args.path).resolve().parent))
    spec.loader.exec_module(module)
    return getattr(module, args.function)()


# ---- exporting ----------------------------------------------------------------------------------


class Failure(Exception):
    """What is wrong with the model, in one line."""


def named(answer, names):
    """The outputs of a call by name, in order: as galley names them."""
    import torch
    if isinstance(answer, torch.Tensor):
        answer = (answer,)
    if isinstance(answer, dict):
        found = dict(answer)
    elif hasattr(answer, "_fields"):
        found = dict(zip(answer._fields, answer))
    else:
        found = {str(i): value for i, value in enumerate(answer)}
    if names:
        if len(names) != len(found):
            raise Failure(f"{len(found)} outputs, --outputs names {len(names)}")
        found = dict(zip(names, found.values()))
    for name, value in found.items():
        if not isinstance(value, torch.Tensor):
            raise Failure(f"output \"{name}\": expected a tensor, got {type(value).__name__}")
    return found


def rows_like(examples, count, generator):
    """`count` rows like the examples: theirs, with noise where there can be any."""
    import torch
    rows = {}
    chosen = torch.arange(count) % min(len(value) for value in examples.values())
    for name, value in examples.items():
        rows[name] = value[chosen].clone()
        if value.is_floating_point():
            noise = torch.randn(rows[name].shape, generator=generator)
            rows[name] += (noise * 0.1 * value.float().std()).to(value.dtype)
    return rows


def compare(what, call, model, args, sizes, examples):
    """The largest difference between what `call` and the module answer; fails beyond the tolerance."""
    import torch
    generator = torch.Generator().manual_seed(2)
    absolute, relative = args.tolerance
    largest = 0.0
    for count in sizes:
        rows = tuple(rows_like(examples, count, generator).values())
        wanted = named(model(*rows), args.outputs)
        got = named(call(*rows), list(wanted))
        for name, value in wanted.items():
            if got[name].shape != value.shape or got[name].dtype != value.dtype:
                raise Failure(f"{what}, batch {count}: output \"{name}\" is "
                              f"{got[name].dtype} {list(got[name].shape)}, the module's is "
                              f"{value.dtype} {list(value.shape)}")
            a, b = got[name].double(), value.double()
            difference = (a - b).abs()
            if not torch.allclose(a, b, rtol=relative, atol=absolute, equal_nan=True):
                raise Failure(f"{what}, batch {count}: output \"{name}\" is "
                              f"{difference.max():g} away from the module's")
            if difference.numel() != 0:
                largest = max(largest, difference.max().item())
    return largest


def dtype_of(tensor):
    return str(tensor.dtype).removeprefix("torch.")


def specs(tensors, free):
    return [{"name": name, "dtype": dtype_of(value),
             "shape": [None if d + 1 in free.get(name, []) else size
                       for d, size in enumerate(value.shape[1:])]}
            for name, value in tensors.items()]


def lines(these):
    """A signature as galley reads it from a package: "float32 [1, 8, ?] name" a line."""
    return "\n".join(
        f"{spec['dtype']} [{', '.join('?' if e is None else str(e) for e in spec['shape'])}] "
        f"{spec['name']}" for spec in these)


def free_outputs(model, examples, free, outputs):
    """Which dimensions of the outputs follow the inputs' free ones: found by doubling those."""
    import torch
    if not free:
        return {}
    larger = []
    for name, value in examples.items():
        for d in free.get(name, []):
            value = torch.cat([value, value], dim=d)
        larger.append(value)
    found = named(model(*larger), list(outputs))
    return {name: [d for d in range(1, value.dim()) if found[name].shape[d] != value.shape[d]]
            for name, value in outputs.items()}


def weights_used(program):
    """The parameters and buffers that the model computes with, by their names."""
    import torch
    kinds = torch.export.graph_signature.InputKind
    used = {node.name for node in program.graph.nodes if node.op == "placeholder" and node.users}
    return [spec.target for spec in program.graph_signature.input_specs
            if spec.kind in (kinds.PARAMETER, kinds.BUFFER) and spec.arg.name in used]


def write_package(path, model, examples, batch, free, metadata, args):
    import torch
    if batch[0] == batch[1]:
        examples = {name: value[torch.arange(batch[0]) % len(value)]
                    for name, value in examples.items()}
    elif min(len(value) for value in examples.values()) < 2:
        raise Failure("expected example batches of at least 2 rows")
    is_fixed = batch[0] == batch[1]
    size = None if is_fixed else torch.export.Dim("batch", min=batch[0], max=batch[1])
    shapes = []
    for name, value in examples.items():
        dims = {d: torch.export.Dim(f"{name}_{d}") for d in free.get(name, [])}
        if not is_fixed:
            dims[0] = size
        shapes.append(dims)
    program = torch.export.export(model, tuple(value.contiguous() for value in examples.values()),
                                  dynamic_shapes=tuple(shapes) if any(shapes) else None)
    said = {**metadata, "GALLEY_BATCH": f"{batch[0]} {batch[1]}",
            "GALLEY_WEIGHTS": "\n".join(weights_used(program))}
    settings = {"aot_inductor.metadata": said, "cpp.threads": args.threads}
    if args.march != "native":
        settings["cpp.march"] = args.march
    torch._inductor.aoti_compile_and_package(program, package_path=str(path),
                                             inductor_configs=settings)


def processor():
    """What code compiled for this processor may use, and another may lack."""
    import torch
    used = ("avx", "fma", "bmi", "f16c", "lzcnt", "popcnt", "sse4_", "sve", "bf16", "i8mm")
    has = torch.cpu.get_capabilities()
    return " ".join(sorted(name for name, value in has.items()
                           if value is True and name.startswith(used)))


def export(args, folder):
    import torch
    torch.set_num_threads(1)
    given = load_source(args)
    model, examples = given[0], dict(given[1])
    free = given[2] if len(given) > 2 else {}
    model.eval()
    for name, value in examples.items():
        if value.dim() == 0 or len(value) < 2:
            raise Failure(f"input \"{name}\": expected an example batch of at least 2 rows")
    outputs = named(model(*examples.values()), args.outputs)
    count = len(next(iter(examples.values())))
    for name, value in outputs.items():
        if value.dim() == 0 or len(value) != count:
            raise Failure(f"output \"{name}\": expected {count} rows, got {list(value.shape)}")
    inputs_said = specs(examples, free)
    outputs_said = specs(outputs, free_outputs(model, examples, free, outputs))
    metadata = {"GALLEY_INPUTS": lines(inputs_said), "GALLEY_OUTPUTS": lines(outputs_said),
                "GALLEY_TORCH": torch.__version__}
    if args.march == "native":
        metadata["GALLEY_CPU"] = processor()

    files, fixed = files_of(args)
    differences = {}
    low, high = args.batch
    sizes = [n for n in (1, 2, 3, 5, 8, 33) if low <= n <= high] or [low]

    say(f"TorchScript: {files['script']}")
    traced = torch.jit.trace(model, tuple(examples.values()), strict=False)
    traced.save(str(folder / files["script"]))
    script = torch.jit.load(str(folder / files["script"]))
    differences[files["script"]] = compare(files["script"], script, model, args, sizes, examples)

    packages = {files["package"]: (low, high), **{fixed[str(n)]: (n, n) for n in args.fixed}}
    for name, batch in packages.items():
        say(f"AOTInductor: {name}, which compiles it and takes half a minute")
        write_package(folder / name, model, examples, batch, free, metadata, args)
        package = torch._inductor.aoti_load_package(str(folder / name))
        differences[name] = compare(name, package, model, args,
                                    sizes if batch[0] != batch[1] else [batch[0]], examples)
    return {"format": FORMAT, "name": args.out.name, "inputs": inputs_said, "outputs": outputs_said,
            "batch": {"min": low, "max": high}, "files": {**files, "fixed": fixed},
            "largest_difference": differences, "torch": torch.__version__, "stamp": stamp_of(args)}


def inside(args):
    import tempfile
    import warnings
    import torch
    warnings.simplefilter("ignore")  # that TorchScript is deprecated is no news here
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.out.parent) as scratch:
        try:
            with torch.no_grad():
                signature = export(args, Path(scratch))
        except Failure as failure:
            say(str(failure))
            return 1
        except Exception as error:  # whatever torch, or the model's own code, has to say
            text = next((line for line in str(error).splitlines() if line.strip()), "")
            say(f"{args.source} cannot be exported: {type(error).__name__}: {text}")
            return 1
        for file in sorted(Path(scratch).iterdir()):
            file.replace(args.out.parent / file.name)
    path = args.out.parent / (args.out.name + ".json")
    path.write_text(json.dumps(signature, indent=2) + "\n")
    for name, difference in signature["largest_difference"].items():
        say(f"{args.out.parent / name}: at most {difference:.1e} away from the module")
    say(f"{path}")
    return 0


if __name__ == "__main__":
    arguments_given = arguments()
    in_environment = os.environ.get("GALLEY_EXPORT_INSIDE") == "1"
    sys.exit(inside(arguments_given) if in_environment else outside(arguments_given))
