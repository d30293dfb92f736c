#include <galley/io/form_profile.hpp>
#include <src/io/form_json.hpp>
#include <src/io/profile_document.hpp>

namespace galley::inline v1 {

namespace {

using detail::Json;
using detail::ProfileNode;

constexpr const char* document = "galley form profile";
constexpr int version = 1;

}  // namespace

std::string to_json(const FormProfile& profile) {
  Json forms = Json::array();
  for (const FormProfile::Form& form : profile.forms) forms.push_back(detail::json_of(form));
  const Json all = {{"document", document}, {"version", version}, {"forms", std::move(forms)}};
  return all.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

Result<FormProfile> form_profile_from_json(std::string_view json) {
  const Json all = Json::parse(json, nullptr, false);
  GALLEY_TRY(const ProfileNode root,
             detail::profile_document(all, "form profile", document, version));
  GALLEY_TRY(const std::vector<ProfileNode> forms, root.list("forms"));
  FormProfile profile;
  for (const ProfileNode& form : forms) {
    FormProfile::Form one;
    GALLEY_TRY(one.name, form.text("name"));
    GALLEY_TRY(one.refused, form.text("refused"));
    GALLEY_TRY(one.costs, detail::read_costs(form));
    profile.forms.push_back(std::move(one));
  }
  return profile;
}

Result<void> save_form_profile(const FormProfile& profile, const std::string& path) {
  return detail::write_file(path, to_json(profile));
}

Result<FormProfile> load_form_profile(const std::string& path) {
  return detail::load_profile(path, &form_profile_from_json);
}

}  // namespace galley::inline v1
