// What is known of a model, as JSON.
#pragma once

#include <galley/torch/description.hpp>

#include <string>

namespace galley::inline v1 {

// # The document
//
//   {"document": "galley model description", "version": 1,
//    "name": "voice", "format": "TorchScript", "device": "cpu", "libtorch": "2.13.0",
//    "inputs":  [{"name": "x", "dtype": "float32", "shape": [1, null], "device": "cpu",
//                 "finite": false, "range": [0.0, 1.0]}],
//    "outputs": [...],
//    "script":  {"methods": [{"name": "forward", "returns": "Tensor",
//                             "arguments": [{"name": "rate", "type": "int", "default": "16000"}]}],
//                "method": "forward", "arguments": {"rate": 8000, "gain": null},
//                "rows": "batch", "frozen": true, "optimised": false, "profiling": "off",
//                "training": false, "refused": "", "reset": "reset_states"},
//    "package": {"device": "cpu", "platform": "linux", "machine": "x86_64",
//                "instructions": "AVX512", "libtorch": "2.13.0+cpu",
//                "batch": {"min": 1, "max": 64}, "runners": 2},
//    "parameters": {"tensors": 4, "elements": 40, "bytes": 160, "dtypes": ["float32"]},
//    "buffers": {...}, "constants": {...},
//    "state":   [{"name": "h", "type": "float32", "shape": [64], "bytes": 256}],
//    "state_bytes": 256,
//    "weights": {"fitting": ["b"], "missing": [], "unexpected": [],
//                "mismatched": [{"name": "w", "got": "float32 [4]", "wanted": "float32 [3]"}]},
//    "forms":   [{"name": "frozen", "refused": "", "costs": [{"rows": 1, "mean_ns": 58000, ...}]}],
//    "runs":    [{"rows": 1, "form": "frozen"}],
//    "choice": "measured", "warm_batches": [1]}
//
// All members are always there. `script`, `package` and `weights` are null where a model has none;
// so are an extent that is free, and a `device`, `range` or `default` that is not said. `forms` are
// as in a profile of forms. Members may be added under version 1; none is taken away or changed.

/// The description as JSON.
std::string to_json(const ModelDescription& description);

}  // namespace galley::inline v1
