#include <galley/io/batch_profile.hpp>
#include <src/io/write_file.hpp>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <fstream>
#include <sstream>
#include <utility>

namespace galley::inline v1 {

namespace {

using Json = nlohmann::ordered_json;

constexpr const char* document = "galley batch profile";
constexpr int version = 1;

/// A part of a document, and where it is.
struct Node {
  const Json& json;
  std::string path;

  Error wrong(const std::string& wanted) const {
    // Not what it holds: a document may be deeper than the stack.
    const std::string got = json.is_structured()
                                ? json.type_name()
                                : json.dump(-1, ' ', true, Json::error_handler_t::replace);
    return Error(Status::invalid_argument, (path.empty() ? "batch profile" : path) + ": expected " +
                                               wanted + ", got " + got.substr(0, 60));
  }
  Result<Node> member(const char* name) const {
    if (!json.is_object()) return wrong("an object");
    const auto at = json.find(name);
    if (at == json.end()) return wrong(std::string("a member \"") + name + '"');
    return Node{*at, path.empty() ? name : path + '.' + name};
  }
  Result<std::int64_t> number(const char* name) const {
    GALLEY_TRY(const Node value, member(name));
    if (!value.json.is_number_integer() || value.json > INT64_MAX || value.json < 0) {
      return value.wrong("an integer from 0 to 2^63 - 1");
    }
    return value.json.get<std::int64_t>();
  }
  Result<std::string> text(const char* name) const {
    GALLEY_TRY(const Node value, member(name));
    if (!value.json.is_string()) return value.wrong("a string");
    return value.json.get<std::string>();
  }
  Result<std::vector<Node>> list(const char* name) const {
    GALLEY_TRY(const Node value, member(name));
    if (!value.json.is_array()) return value.wrong("a list");
    std::vector<Node> items;
    for (const Json& item : value.json) {
      items.push_back({item, value.path + '[' + std::to_string(items.size()) + ']'});
    }
    return items;
  }
};

Result<BatchCost> read_cost(const Node& node) {
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

Result<BatchProfile::Kind> read_kind(const Node& node) {
  BatchProfile::Kind kind;
  GALLEY_TRY(kind.rows, node.text("rows"));
  GALLEY_TRY(const std::vector<Node> costs, node.list("costs"));
  for (const Node& cost : costs) {
    GALLEY_TRY(BatchCost one, read_cost(cost));
    kind.costs.push_back(one);
  }
  const Result<CostTable> table = CostTable::of_profile(kind.costs);
  if (!table.has_value()) return within(node.path, table.error());
  return kind;
}

}  // namespace

std::string to_json(const BatchProfile& profile) {
  Json kinds = Json::array();
  for (const BatchProfile::Kind& kind : profile.kinds) {
    Json costs = Json::array();
    for (const BatchCost& cost : kind.costs) {
      costs.push_back({{"rows", cost.rows},
                       {"mean_ns", cost.mean.count()},
                       {"p95_ns", cost.p95.count()},
                       {"seen", cost.seen},
                       {"last_ns", cost.last.count()}});
    }
    kinds.push_back({{"rows", kind.rows}, {"costs", std::move(costs)}});
  }
  const Json all = {{"document", document}, {"version", version}, {"kinds", std::move(kinds)}};
  return all.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

Result<BatchProfile> batch_profile_from_json(std::string_view json) {
  const Json all = Json::parse(json, nullptr, false);
  if (all.is_discarded()) {
    return Error(Status::invalid_argument, "batch profile: expected JSON, got something else");
  }
  const Node root{all, ""};
  GALLEY_TRY(const std::string is, root.text("document"));
  if (is != document) {
    return Node{all["document"], "document"}.wrong('"' + std::string(document) + '"');
  }
  GALLEY_TRY(const std::int64_t written, root.number("version"));
  if (written != version) return Node{all["version"], "version"}.wrong(std::to_string(version));
  GALLEY_TRY(const std::vector<Node> kinds, root.list("kinds"));
  BatchProfile profile;
  for (const Node& kind : kinds) {
    GALLEY_TRY(BatchProfile::Kind one, read_kind(kind));
    profile.kinds.push_back(std::move(one));
  }
  return profile;
}

Result<void> save_batch_profile(const BatchProfile& profile, const std::string& path) {
  return detail::write_file(path, to_json(profile));
}

Result<BatchProfile> load_batch_profile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error(Status::not_found, path + ": there is no such file, or none to read");
  std::ostringstream text;
  text << file.rdbuf();
  Result<BatchProfile> profile = batch_profile_from_json(text.str());
  if (!profile.has_value()) return Error(Status::data_loss, path + ": " + profile.error().detail);
  return profile;
}

}  // namespace galley::inline v1
