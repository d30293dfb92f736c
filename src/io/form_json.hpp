// A form and its costs as JSON: in profiles of forms, and in descriptions of models.
#pragma once

#include <galley/torch/options.hpp>
#include <src/io/profile_document.hpp>

#include <utility>

namespace galley::inline v1::detail {

inline Json json_of(const FormProfile::Form& form) {
  Json costs = Json::array();
  for (const BatchCost& cost : form.costs) costs.push_back(json_of(cost));
  return {{"name", form.name}, {"refused", form.refused}, {"costs", std::move(costs)}};
}

}  // namespace galley::inline v1::detail
