// What profiles of costs have in common as documents.
#pragma once

#include <galley/core/result.hpp>
#include <galley/policy/cost_table.hpp>
#include <src/io/write_file.hpp>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace galley::inline v1::detail {

using Json = nlohmann::ordered_json;

/// A part of a document, and where it is; at the top, what the document is called.
struct ProfileNode {
  const Json& json;
  std::string path;
  const char* document;

  Error wrong(const std::string& wanted) const {
    // Not what it holds: a document may be deeper than the stack.
    const std::string got = json.is_structured()
                                ? json.type_name()
                                : json.dump(-1, ' ', true, Json::error_handler_t::replace);
    return Error(Status::invalid_argument, (path.empty() ? document : path) + ": expected " +
                                               wanted + ", got " + got.substr(0, 60));
  }
  Result<ProfileNode> member(const char* name) const {
    if (!json.is_object()) return wrong("an object");
    const auto at = json.find(name);
    if (at == json.end()) return wrong(std::string("a member \"") + name + '"');
    return ProfileNode{*at, path.empty() ? name : path + '.' + name, document};
  }
  Result<std::int64_t> number(const char* name) const {
    GALLEY_TRY(const ProfileNode value, member(name));
    if (!value.json.is_number_integer() || value.json > INT64_MAX || value.json < 0) {
      return value.wrong("an integer from 0 to 2^63 - 1");
    }
    return value.json.get<std::int64_t>();
  }
  Result<std::string> text(const char* name) const {
    GALLEY_TRY(const ProfileNode value, member(name));
    if (!value.json.is_string()) return value.wrong("a string");
    return value.json.get<std::string>();
  }
  Result<std::vector<ProfileNode>> list(const char* name) const {
    GALLEY_TRY(const ProfileNode value, member(name));
    if (!value.json.is_array()) return value.wrong("a list");
    std::vector<ProfileNode> items;
    for (const Json& item : value.json) {
      items.push_back({item, value.path + '[' + std::to_string(items.size()) + ']', document});
    }
    return items;
  }
};

/// What `json_of` wrote.
inline Result<BatchCost> read_cost(const ProfileNode& node) {
  GALLEY_TRY(const std::int64_t rows, node.number("rows"));
  GALLEY_TRY(const std::int64_t mean, node.number("mean_ns"));
  GALLEY_TRY(const std::int64_t p95, node.number("p95_ns"));
  GALLEY_TRY(const std::int64_t seen, node.number("seen"));
  GALLEY_TRY(const std::int64_t last, node.number("last_ns"));
  return BatchCost{.rows = static_cast<std::size_t>(rows),
                   .mean = Duration(mean),
                   .p95 = Duration(p95),
                   .seen = static_cast<std::uint64_t>(seen),
                   .last = Duration(last)};
}

inline Json json_of(const BatchCost& cost) {
  return {{"rows", cost.rows},
          {"mean_ns", cost.mean.count()},
          {"p95_ns", cost.p95.count()},
          {"seen", cost.seen},
          {"last_ns", cost.last.count()}};
}

/// A cost for each size that `CostTable` takes.
///
/// Errors  invalid_argument: says where
inline Result<CostProfile> read_costs(const ProfileNode& node) {
  CostProfile costs;
  GALLEY_TRY(const std::vector<ProfileNode> items, node.list("costs"));
  for (const ProfileNode& cost : items) {
    GALLEY_TRY(BatchCost one, read_cost(cost));
    costs.push_back(one);
  }
  const Result<CostTable> table = CostTable::of_profile(costs);
  if (!table.has_value()) return within(node.path, table.error());
  return costs;
}

/// The document of this kind and version in `all`.
inline Result<ProfileNode> profile_document(const Json& all, const char* called, const char* kind,
                                            int version) {
  if (all.is_discarded()) {
    return Error(Status::invalid_argument,
                 std::string(called) + ": expected JSON, got something else");
  }
  const ProfileNode root{all, "", called};
  GALLEY_TRY(const std::string is, root.text("document"));
  if (is != kind) {
    return ProfileNode{all["document"], "document", called}.wrong('"' + std::string(kind) + '"');
  }
  GALLEY_TRY(const std::int64_t written, root.number("version"));
  if (written != version) {
    return ProfileNode{all["version"], "version", called}.wrong(std::to_string(version));
  }
  return root;
}

/// A file's profile, read by `from_json`.
template <class Profile>
Result<Profile> load_profile(const std::string& path,
                             Result<Profile> (*from_json)(std::string_view)) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error(Status::not_found, path + ": there is no such file, or none to read");
  std::ostringstream text;
  text << file.rdbuf();
  Result<Profile> profile = from_json(text.str());
  if (!profile.has_value()) return Error(Status::data_loss, path + ": " + profile.error().detail);
  return profile;
}

}  // namespace galley::inline v1::detail
