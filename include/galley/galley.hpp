// galley: model serving inside the host program. The umbrella of core, policy, compose and
// runtime.
//
// The doors to the rest: <galley/torch.hpp> (LibTorch models), <galley/learn.hpp> (Eigen),
// <galley/io.hpp> (files). Not for every file, and so not here: <galley/compose/batched.hpp>,
// <galley/compose/padded.hpp>, <galley/core/future.hpp>, <galley/core/named_tensors.hpp>,
// <galley/core/signature.hpp>.
#pragma once

#include <galley/compose/in_order.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/core/batch.hpp>
#include <galley/core/completion.hpp>
#include <galley/core/context.hpp>
#include <galley/core/executor.hpp>
#include <galley/core/outcomes.hpp>
#include <galley/core/result.hpp>
#include <galley/core/row_algebra.hpp>
#include <galley/core/rows.hpp>
#include <galley/core/servable.hpp>
#include <galley/core/slot.hpp>
#include <galley/core/status.hpp>
#include <galley/core/tensor.hpp>
#include <galley/core/tensor_rows.hpp>
#include <galley/runtime/thread_pool.hpp>
