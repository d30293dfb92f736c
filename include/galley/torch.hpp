// The door to the torch layer: LibTorch models as servables. Names no LibTorch header; those who
// hold an at::Tensor include <galley/torch/tensor.hpp> as well.
#pragma once

#include <galley/core/named_tensors.hpp>  // IWYU pragma: export
#include <galley/core/signature.hpp>      // IWYU pragma: export
#include <galley/core/tensor.hpp>         // IWYU pragma: export
#include <galley/core/tensor_rows.hpp>    // IWYU pragma: export
#include <galley/torch/description.hpp>   // IWYU pragma: export
#include <galley/torch/module.hpp>        // IWYU pragma: export
#include <galley/torch/options.hpp>       // IWYU pragma: export
#include <galley/torch/package.hpp>       // IWYU pragma: export
#include <galley/torch/script.hpp>        // IWYU pragma: export
#include <galley/torch/state_dict.hpp>    // IWYU pragma: export
#include <galley/torch/threads.hpp>       // IWYU pragma: export
#include <galley/torch/weights.hpp>       // IWYU pragma: export
