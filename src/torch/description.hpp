// What core's Description says of a LibTorch model.
#pragma once

#include <galley/torch/description.hpp>

#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1::detail {

/// The names and texts that `Description::options` has of it.
std::vector<std::pair<std::string, std::string>> options_of(const ModelDescription& about);

/// A bound value as Python writes it: `16000`, `"en"`, `[1, 2]`, `None`.
std::string to_text(const ArgumentValue& value);

}  // namespace galley::inline v1::detail
