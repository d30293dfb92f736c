#include <galley/io/form_profile.hpp>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>

#include <support/catch.hpp>

using galley::form_profile_from_json;
using galley::FormProfile;
using galley::Status;
using galley::to_json;
using namespace std::chrono_literals;

namespace {

FormProfile sample() {
  return {{{"frozen", "", {{.rows = 1, .mean = 58us, .p95 = 61us, .seen = 1, .last = 58us}}},
           {"channels last", "the model has no \"images\"", {}}}};
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  const std::size_t at = text.find(what);
  REQUIRE(at != std::string::npos);
  return text.replace(at, what.size(), with);
}

struct TemporaryFile {
  std::string path = "galley_form_profile_test.json";
  ~TemporaryFile() { std::remove(path.c_str()); }
};

}  // namespace

TEST_CASE("a profile of forms is read as it was written", "[io][form_profile]") {
  const auto again = form_profile_from_json(to_json(sample()));
  REQUIRE(again.has_value());
  CHECK(*again == sample());
  CHECK(*form_profile_from_json(to_json(FormProfile())) == FormProfile());
}

TEST_CASE("what is wrong in a profile of forms is told with its place", "[io][form_profile]") {
  const std::string good = to_json(sample());
  const auto refused = [](const std::string& text, const std::string& says) {
    const auto profile = form_profile_from_json(text);
    REQUIRE(profile.status() == Status::invalid_argument);
    INFO(profile.error().detail);
    CHECK(profile.error().detail.find(says) != std::string::npos);
  };
  refused(good.substr(0, good.size() / 2), "form profile: expected JSON");
  refused("[]", "form profile: expected an object");
  refused(replaced(good, "galley form profile", "galley batch profile"),
          "document: expected \"galley form profile\"");
  refused(replaced(good, "\"version\": 1", "\"version\": 2"), "version: expected 1, got 2");
  refused(replaced(good, "\"name\": \"frozen\"", "\"name\": 7"),
          "forms[0].name: expected a string, got 7");
  refused(replaced(good, "58000", "-1"), "forms[0].costs[0].mean_ns: expected an integer");
  refused(replaced(good, "\"rows\": 1", "\"rows\": 0"), "forms[0]");
}

TEST_CASE("a profile of forms is saved in place of an older one, and loaded",
          "[io][form_profile]") {
  const TemporaryFile file;
  CHECK(galley::load_form_profile(file.path).status() == Status::not_found);
  REQUIRE(galley::save_form_profile(FormProfile(), file.path).has_value());
  REQUIRE(galley::save_form_profile(sample(), file.path).has_value());
  CHECK(*galley::load_form_profile(file.path) == sample());
  std::ofstream(file.path) << "{}";
  CHECK(galley::load_form_profile(file.path).status() == Status::data_loss);
}
