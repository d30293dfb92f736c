#include <galley/core/text.hpp>
#include <src/torch/output_names.hpp>

#include <algorithm>
#include <stdexcept>

namespace galley::inline v1::detail {

namespace {

bool are_positions(std::span<const std::string> names) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] != std::to_string(i)) return false;
  }
  return true;
}

std::string listed(std::span<const std::string> names) {
  std::string all;
  for (const std::string& name : names) all.append(all.empty() ? "" : ", ").append(name);
  return all;
}

}  // namespace

std::vector<std::size_t> order_by_name(std::span<const TensorSpec> wanted,
                                       std::span<const std::string> found, std::size_t count) {
  std::vector<std::string> names;
  for (const TensorSpec& spec : wanted) names.push_back(spec.name);
  const bool have_names = !are_positions(names) && !are_positions(found);
  if (!have_names || count == 1 || std::ranges::equal(names, found)) return {};
  std::vector<std::size_t> order;
  for (const std::string& name : names) {
    const auto same = std::ranges::find(found, name);
    if (same != found.end()) order.push_back(static_cast<std::size_t>(same - found.begin()));
  }
  if (order.size() != names.size() || found.size() != names.size()) {
    throw std::runtime_error(text({"its outputs are (", listed(found), "), the model's are (",
                                   listed(names), "): expected the same names"}));
  }
  return order;
}

}  // namespace galley::inline v1::detail
