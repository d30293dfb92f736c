#include <galley/core/status_set.hpp>

#include <support/catch.hpp>

using galley::Status;
using galley::StatusSet;

TEST_CASE("a status set contains what was listed and nothing else") {
  constexpr StatusSet set{Status::unavailable, Status::internal};
  STATIC_REQUIRE(set.contains(Status::unavailable));
  STATIC_REQUIRE(set.contains(Status::internal));
  STATIC_REQUIRE_FALSE(set.contains(Status::ok));
  STATIC_REQUIRE_FALSE(set.contains(Status::resource_exhausted));
  STATIC_REQUIRE_FALSE(set.empty());
  STATIC_REQUIRE(StatusSet().empty());
  STATIC_REQUIRE(StatusSet{}.empty());
}

TEST_CASE("status sets are equal whatever the order they were listed in") {
  STATIC_REQUIRE(StatusSet{Status::ok, Status::internal} ==
                 StatusSet{Status::internal, Status::ok, Status::internal});
  STATIC_REQUIRE_FALSE(StatusSet{Status::ok} == StatusSet{Status::internal});
}

TEST_CASE("a status set is printed by the names of its statuses") {
  CHECK(to_string(StatusSet{Status::internal, Status::cancelled}) == "cancelled, internal");
  CHECK(to_string(StatusSet{}) == "none");
}
