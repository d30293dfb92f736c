#include <galley/policy/combine/first.hpp>
#include <galley/policy/combine/majority_vote.hpp>
#include <galley/testing/contracts/combiner.hpp>

#include <support/votes.hpp>

#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <support/catch.hpp>

using galley::First;
using galley::MajorityVote;
using galley::Result;
using galley::Status;
using support::combined;
using support::is_decided;

namespace {

constexpr auto no = std::nullopt;
using Ints = std::vector<std::optional<int>>;

}  // namespace

TEST_CASE("the majority is the label that most gave, of ties the earliest member's",
          "[majority_vote]") {
  struct Case {
    Ints votes;
    int winner;
  };
  for (const auto& [votes, winner] :
       {Case{{1}, 1}, Case{{1, 2, 2}, 2}, Case{{1, 2, 3}, 1}, Case{{3, 2, 2, 3}, 3},
        Case{{no, 2, 1}, 2}, Case{{1, no, 2, 2, no}, 2}, Case{{4, 1, 1, 4, 5, 5, 5}, 5}}) {
    CHECK(combined<int>(MajorityVote{}, votes) == Result<int>(winner));
  }
  CHECK(combined<std::string>(MajorityVote{}, {"cat", "dog", "dog"}) == Result<std::string>("dog"));
}

TEST_CASE("a label that does not equal itself has one vote", "[majority_vote]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(combined<double>(MajorityVote{}, {nan, nan, 2.0, 2.0}) == Result<double>(2.0));
  CHECK(std::isnan(*combined<double>(MajorityVote{}, {nan, 1.0})));
}

TEST_CASE("a vote without votes is an error", "[majority_vote]") {
  for (const Ints& votes : {Ints{}, Ints{no}, Ints{no, no}}) {
    CHECK(combined<int>(MajorityVote{}, votes).error() ==
          galley::Error(Status::internal, "majority_vote: no member has answered"));
    CHECK(combined<int>(First{}, votes).status() == Status::internal);
    CHECK_FALSE(is_decided<int>(MajorityVote{}, votes));
    CHECK_FALSE(is_decided<int>(First{}, votes));
  }
}

TEST_CASE("a majority is decided when no other label can have as many votes", "[majority_vote]") {
  struct Case {
    Ints votes;
    bool decided;
  };
  for (const auto& [votes, decided] :
       {Case{{1, no, no}, false}, Case{{1, 1, no}, true}, Case{{1, 2, no}, false},
        Case{{1, 1, no, no}, false}, Case{{1, 1, 2, no, no}, false}, Case{{1, 1, 1, no, no}, true},
        Case{{no, 2, 2}, true}, Case{{1, 1, 2, 2}, false}, Case{{1}, true}}) {
    CHECK(is_decided<int>(MajorityVote{}, votes) == decided);
  }
}

TEST_CASE("the first is the earliest that answered, known once those before it have failed",
          "[first]") {
  CHECK(combined<int>(First{}, {no, 7, 8}) == Result<int>(7));
  CHECK(is_decided<int>(First{}, {7, no, no}));
  CHECK_FALSE(is_decided<int>(First{}, {no, 7, 8}));
}

TEST_CASE("majority and first keep the contract of combiners", "[majority_vote][first]") {
  for (std::size_t members = 1; members <= 6; ++members) {
    CHECK(galley::check_combiner(MajorityVote{}, members, std::vector<int>{1, 2, 3}).empty());
    CHECK(galley::check_combiner(First{}, members, std::vector<std::string>{"a", "b"}).empty());
  }
}
