// LibTorch's headers, in the one order that every supported compiler takes, without the macros they
// leave behind. The only file that includes them in full; it must come before any other header.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/ivalue.h>  // first: clang 14 in C++20 finds IValue incomplete otherwise
#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/csrc/jit/passes/freeze_module.h>
#include <torch/csrc/jit/passes/frozen_graph_optimizations.h>
#include <torch/csrc/jit/passes/frozen_ops_to_mkldnn.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/passes/shape_analysis.h>
#include <torch/nn/module.h>
#include <torch/script.h>

#undef CHECK
#undef DCHECK
#undef LOG
#undef VLOG
