// difference: where two answers of a model are not the same.
#pragma once

#include <src/torch/torch_headers.hpp>

#include <galley/core/tolerance.hpp>
#include <src/torch/call.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace galley::inline v1::detail {

/// The first tensor that differs, and how: "has 1.5" beside "2", or "is [2, 3]" beside "[2, 4]".
struct Difference {
  std::size_t tensor = 0;
  const char* verb = "has";
  std::string got = {};
  std::string wanted = {};
};

/// The first difference beyond `tolerance`, at its worst element; NaNs are equal. Nothing where
/// there is none. Throws what LibTorch throws.
std::optional<Difference> difference(const Tensors& got, const Tensors& wanted,
                                     const Tolerance& tolerance);

/// `output "y" has 1.5, the model 2`: `whose` is whose the wanted one is.
std::string to_string(const Difference& difference, std::string_view output,
                      std::string_view whose);

}  // namespace galley::inline v1::detail
