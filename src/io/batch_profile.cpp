#include <galley/io/batch_profile.hpp>
#include <src/io/profile_document.hpp>

namespace galley::inline v1 {

namespace {

using detail::Json;
using detail::ProfileNode;

constexpr const char* document = "galley batch profile";
constexpr int version = 1;

}  // namespace

std::string to_json(const BatchProfile& profile) {
  Json kinds = Json::array();
  for (const BatchProfile::Kind& kind : profile.kinds) {
    Json costs = Json::array();
    for (const BatchCost& cost : kind.costs) costs.push_back(detail::json_of(cost));
    kinds.push_back({{"rows", kind.rows}, {"costs", std::move(costs)}});
  }
  const Json all = {{"document", document}, {"version", version}, {"kinds", std::move(kinds)}};
  return all.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

Result<BatchProfile> batch_profile_from_json(std::string_view json) {
  const Json all = Json::parse(json, nullptr, false);
  GALLEY_TRY(const ProfileNode root,
             detail::profile_document(all, "batch profile", document, version));
  GALLEY_TRY(const std::vector<ProfileNode> kinds, root.list("kinds"));
  BatchProfile profile;
  for (const ProfileNode& kind : kinds) {
    BatchProfile::Kind one;
    GALLEY_TRY(one.rows, kind.text("rows"));
    GALLEY_TRY(one.costs, detail::read_costs(kind));
    profile.kinds.push_back(std::move(one));
  }
  return profile;
}

Result<void> save_batch_profile(const BatchProfile& profile, const std::string& path) {
  return detail::write_file(path, to_json(profile));
}

Result<BatchProfile> load_batch_profile(const std::string& path) {
  return detail::load_profile(path, &batch_profile_from_json);
}

}  // namespace galley::inline v1
