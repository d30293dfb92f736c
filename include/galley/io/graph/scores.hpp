// What the numbers of a prediction are, as documents say it.
#pragma once

#include <galley/io/fields.hpp>
#include <galley/policy/scores.hpp>

#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1::io {

template <>
struct Described<Scores> {
  static std::vector<std::pair<std::string, Scores>> choices() {
    return {{"logits", Scores::logits}, {"probabilities", Scores::probabilities}};
  }
};

}  // namespace galley::inline v1::io
