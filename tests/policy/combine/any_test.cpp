#include <galley/policy/combine/any.hpp>
#include <galley/policy/combine/majority_vote.hpp>
#include <galley/policy/combine/mean.hpp>
#include <galley/policy/combine/weighted_mean.hpp>
#include <galley/testing/contracts/combiner.hpp>

#include <support/votes.hpp>

#include <array>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <support/catch.hpp>

using galley::AnyCombiner;
using galley::MajorityVote;
using galley::Mean;
using galley::Result;
using galley::Rows;
using galley::Votes;
using galley::WeightedMean;
using support::combined;
using support::is_decided;

namespace {

constexpr auto no = std::nullopt;
using Ints = std::vector<std::optional<int>>;
using Doubles = std::vector<std::optional<double>>;

}  // namespace

TEST_CASE("any combiner answers as the one that it holds", "[combine]") {
  const AnyCombiner<double> mean = Mean();
  const AnyCombiner<double> weighted = WeightedMean{{3, 1}};
  for (const Doubles& said : {Doubles{1., 3.}, Doubles{no, 5.}, Doubles{7., no}, Doubles{no, no}}) {
    CHECK(combined<double>(mean, said) == combined<double>(Mean(), said));
    CHECK(combined<double>(weighted, said) == combined<double>(WeightedMean{{3, 1}}, said));
  }
  CHECK(*combined<double>(weighted, {1., 5.}) == 2);
  CHECK(*combined<double>(AnyCombiner<double>(), {no, 5., 6.}) == 5);
}

TEST_CASE("any combiner decides as early as the one that it holds", "[combine]") {
  const AnyCombiner<int> vote = MajorityVote();
  for (const Ints& said : {Ints{1, 1, no}, Ints{1, no, no}, Ints{1, 2, no}, Ints{2, 2, 2}}) {
    CHECK(is_decided<int>(vote, said) == is_decided<int>(MajorityVote(), said));
  }
  CHECK(is_decided<int>(vote, {1, 1, no}));
  CHECK_FALSE(is_decided<double>(AnyCombiner<double>(Mean()), {1., no}));
}

TEST_CASE("any combiner takes whole batches where the one that it holds does", "[combine]") {
  const Rows<double> first{1, 2}, second{3, 6};
  const std::array<const Rows<double>*, 2> members{&first, &second};
  const galley::BatchVotes<double> votes{.members = members, .rows = 2};
  const auto held = Mean().combine_rows(votes);
  const auto rows = AnyCombiner<double>(Mean()).combine_rows(votes);
  REQUIRE(rows.has_value() == held.has_value());
  if (rows.has_value()) CHECK(*rows == *held);
  const AnyCombiner<double> function = [](const Votes<double>& all) -> Result<double> {
    return *all[0].value;
  };
  CHECK_FALSE(function.combine_rows(votes).has_value());
}

TEST_CASE("any combiner is called as the one that it holds, and has its options", "[combine]") {
  CHECK(AnyCombiner<double>().name() == "first");
  const AnyCombiner<double> weighted = WeightedMean{{3, 1}};
  CHECK(weighted.name() == "weighted_mean");
  CHECK(weighted.options() == WeightedMean{{3, 1}}.options());
  CHECK(weighted.check(2).has_value());
  CHECK(weighted.check(3).error() == WeightedMean{{3, 1}}.check(3).error());
  const AnyCombiner<double> function = [](const Votes<double>&) { return 1.0; };
  CHECK(function.name().empty());
  CHECK(function.options().empty());
  CHECK(function.check(9).has_value());
}

TEST_CASE("copies of any combiner share the one that it holds", "[combine]") {
  const auto alive = std::make_shared<int>(4);
  std::optional<AnyCombiner<int>> any = [alive](const Votes<int>&) { return *alive; };
  CHECK(alive.use_count() == 2);
  const AnyCombiner<int> copy = *any;
  CHECK(alive.use_count() == 2);
  any.reset();
  CHECK(alive.use_count() == 2);
  CHECK(*combined<int>(copy, {1}) == 4);
}

TEST_CASE("what a combiner throws passes through any", "[combine]") {
  const AnyCombiner<int> throws = [](const Votes<int>& all) -> int {
    if (all.answered() == 0) throw std::runtime_error("nobody");
    return 1;
  };
  CHECK(*combined<int>(throws, {2}) == 1);
  CHECK_THROWS_AS(combined<int>(throws, {no}), std::runtime_error);
}

TEST_CASE("any combiner keeps the obligations of those it holds", "[combine][contract]") {
  CHECK(galley::check_combiner<int>(AnyCombiner<int>(MajorityVote()), 3, {1, 2, 3}).empty());
  CHECK(galley::check_combiner<int>(AnyCombiner<int>(), 3, {1, 2, 3}).empty());
}
