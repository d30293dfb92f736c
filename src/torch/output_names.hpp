// Two lists of outputs of one model, matched by their names.
#pragma once

#include <galley/core/signature.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace galley::inline v1::detail {

/// For each of `wanted`, which of `found` has its name; empty where they come in the same order.
/// So they are taken to come where there is but one output, and where either has no names but
/// "0", "1", …: then their order is all there is to go by.
///
/// Throws std::runtime_error where there are names and they are not the same.
std::vector<std::size_t> order_by_name(std::span<const TensorSpec> wanted,
                                       std::span<const std::string> found, std::size_t count);

}  // namespace galley::inline v1::detail
