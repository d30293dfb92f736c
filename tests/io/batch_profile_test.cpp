#include <galley/io/batch_profile.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>

#include <support/catch.hpp>

using galley::batch_profile_from_json;
using galley::BatchProfile;
using galley::load_batch_profile;
using galley::save_batch_profile;
using galley::Status;
using galley::to_json;
using namespace std::chrono_literals;

namespace {

BatchProfile sample() {
  return {{{"float32[784] cpu",
            {{.rows = 1, .mean = 58us, .p95 = 61us, .seen = 12, .last = 9ms},
             {.rows = 64, .mean = 940us, .p95 = 1ms, .seen = 400, .last = 11ms}}},
           {"rows \"of\" \xc3\xa9", {}}}};
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  const std::size_t at = text.find(what);
  REQUIRE(at != std::string::npos);
  return text.replace(at, what.size(), with);
}

struct TemporaryFile {
  std::string path = "galley_batch_profile_test.json";
  ~TemporaryFile() { std::remove(path.c_str()); }
};

}  // namespace

TEST_CASE("a profile is read as it was written", "[io][batch_profile]") {
  const auto again = batch_profile_from_json(to_json(sample()));
  REQUIRE(again.has_value());
  CHECK(*again == sample());
  CHECK(*batch_profile_from_json(to_json(BatchProfile())) == BatchProfile());
}

TEST_CASE("what is wrong in a profile is told with its place", "[io][batch_profile]") {
  const std::string good = to_json(sample());
  struct Line {
    std::string text;
    std::string says;
  };
  const Line lines[] = {
      {"", "expected JSON"},
      {good.substr(0, good.size() / 2), "expected JSON"},
      {"[]", "batch profile: expected an object"},
      {"{}", "a member \"document\""},
      {replaced(good, "galley batch profile", "recipe"), "document: expected \"galley batch"},
      {replaced(good, "\"version\": 1", "\"version\": 2"), "version: expected 1, got 2"},
      {replaced(good, "\"kinds\": [", "\"kinds\": 3, \"x\": ["), "kinds: expected a list, got 3"},
      {replaced(good, "\"float32[784] cpu\"", "7"), "kinds[0].rows: expected a string, got 7"},
      {replaced(good, "58000", "\"soon\""), "kinds[0].costs[0].mean_ns: expected an integer"},
      {replaced(good, "58000", "-58000"), "kinds[0].costs[0].mean_ns: expected an integer"},
      {replaced(good, "58000", "1e3"), "kinds[0].costs[0].mean_ns: expected an integer"},
      {replaced(good, "58000", "18446744073709551615"), "kinds[0].costs[0].mean_ns"},
      {replaced(good, "58000", "0"), "kinds[0]: cost profile"},
      {replaced(good, "\"rows\": 64", "\"rows\": 1"), "kinds[0]: cost profile: expected ascending"},
      {replaced(good, "\"seen\": 12", "\"saw\": 12"), "kinds[0].costs[0]: expected a member"},
  };
  for (const Line& line : lines) {
    const auto read = batch_profile_from_json(line.text);
    REQUIRE_FALSE(read.has_value());
    CHECK(read.status() == Status::invalid_argument);
    INFO(read.error().detail);
    CHECK(read.error().detail.find(line.says) != std::string::npos);
  }
}

TEST_CASE("a document deeper than the stack is refused", "[io][batch_profile]") {
  constexpr std::size_t depth = 200'000;
  const auto read = batch_profile_from_json(std::string(depth, '[') + std::string(depth, ']'));
  REQUIRE(read.status() == Status::invalid_argument);
  CHECK(read.error().detail == "batch profile: expected an object, got array");
}

TEST_CASE("costs that no batch has are refused", "[io][batch_profile]") {
  for (const char* const time : {"mean_ns", "last_ns"}) {
    BatchProfile profile{{{"rows", {{.rows = 1, .mean = 1us, .p95 = 1us, .seen = 1}}}}};
    galley::BatchCost& cost = profile.kinds[0].costs[0];
    (time == std::string("mean_ns") ? cost.mean : cost.last) = galley::Duration::max();
    cost.p95 = std::max(cost.p95, cost.mean);
    CHECK(batch_profile_from_json(to_json(profile)).status() == Status::invalid_argument);
  }
}

TEST_CASE("a profile is saved in place of an older one, and loaded", "[io][batch_profile]") {
  const TemporaryFile file;
  CHECK(load_batch_profile(file.path).status() == Status::not_found);
  REQUIRE(save_batch_profile(BatchProfile(), file.path).has_value());
  REQUIRE(save_batch_profile(sample(), file.path).has_value());
  CHECK(*load_batch_profile(file.path) == sample());
  std::ofstream(file.path, std::ios::trunc) << "{";
  const auto broken = load_batch_profile(file.path);
  CHECK(broken.status() == Status::data_loss);
  CHECK(broken.error().detail.find(file.path) == 0);
  const auto nowhere = save_batch_profile(sample(), "no such folder/profile.json");
  CHECK(nowhere.status() == Status::unavailable);
  CHECK(nowhere.error().detail.find("no such folder/profile.json: cannot be written: ") == 0);
}
