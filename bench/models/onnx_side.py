"""The other side of M4: onnxruntime, on one thread, with the model that a TorchScript file holds.

    python3 onnx_side.py MODEL.pt EXTENT...        orders come on standard input, answers go to output

    run FROM TO         answers the rows of float32 in the file FROM, writes them to TO: "done"
    time CALLS          runs the same call so many times: the seconds in all

It begins with "onnxruntime VERSION". Inputs and outputs are bound, so that a call from Python copies
nothing.
"""

import sys
import time
import warnings

warnings.simplefilter("ignore")

import numpy
import onnxruntime
import torch


def bound(session, rows):
    """A call over these rows, and the array it answers in."""
    binding = session.io_binding()
    given = onnxruntime.OrtValue.ortvalue_from_numpy(rows)
    binding.bind_ortvalue_input("x", given)
    answer = numpy.full_like(session.run(None, {"x": rows})[0], numpy.nan)
    answered = onnxruntime.OrtValue.ortvalue_from_numpy(answer)
    binding.bind_ortvalue_output("y", answered)
    return binding, answered


def main():
    path, extents = sys.argv[1], [int(extent) for extent in sys.argv[2:]]
    model = torch.jit.load(path)
    onnx = path + ".onnx"
    torch.onnx.export(model, (torch.zeros(2, *extents),), onnx, input_names=["x"],
                      output_names=["y"], dynamic_axes={"x": {0: "n"}, "y": {0: "n"}}, dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    print("onnxruntime", onnxruntime.__version__, flush=True)
    for line in sys.stdin:
        order = line.split()
        if order[0] == "run":
            rows = numpy.fromfile(order[1], dtype=numpy.float32).reshape(-1, *extents)
            binding, answered = bound(session, rows)
            session.run_with_iobinding(binding)
            answered.numpy().tofile(order[2])
            print("done", flush=True)
            continue
        start = time.perf_counter()
        for _ in range(int(order[1])):
            session.run_with_iobinding(binding)
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
