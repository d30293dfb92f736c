#include <galley/policy/combine/max_confidence.hpp>
#include <galley/policy/combine/soft_vote.hpp>
#include <galley/policy/combine/stack.hpp>
#include <galley/testing/contracts/combiner.hpp>

#include <support/votes.hpp>

#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::BatchVotes;
using galley::Error;
using galley::MaxConfidence;
using galley::Result;
using galley::Rows;
using galley::Scores;
using galley::SoftVote;
using galley::Stack;
using galley::Status;
using galley::Tensor;
using galley::TopScore;
using support::combined;

namespace {

constexpr auto no = std::nullopt;
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
using Numbers = std::vector<double>;

Tensor tensor(std::vector<float> numbers, const galley::Shape& shape) {
  return *Tensor::from(std::move(numbers), shape);
}

}  // namespace

TEST_CASE("a soft vote is the mean of the members' softmax", "[soft_vote]") {
  const auto vote = combined<Numbers>(SoftVote{}, {Numbers{0, std::log(3)}, no, Numbers{5, 5}});
  CHECK((*vote)[0] == Approx(0.375));
  CHECK((*vote)[1] == Approx(0.625));
  const auto huge = combined<Numbers>(SoftVote{}, {Numbers{1e6, -1e6}});
  CHECK(*huge == Numbers{1, 0});
  const double low = -std::numeric_limits<double>::infinity();
  CHECK(*combined<Numbers>(SoftVote{}, {Numbers{0, low}}) == Numbers{1, 0});
}

TEST_CASE("probabilities are taken as they are", "[soft_vote]") {
  const SoftVote vote{.scores = Scores::probabilities};
  CHECK(*combined<Numbers>(vote, {Numbers{0.25, 0.75}, Numbers{0.75, 0.25}}) == Numbers{0.5, 0.5});
  CHECK(vote.options()[0] == std::pair<std::string, std::string>("scores", "probabilities"));
}

TEST_CASE("classes lie along the last axis", "[soft_vote]") {
  const auto vote = combined<Tensor>(SoftVote{}, {tensor({1, 1, 9, 9, -3, -3}, {3, 2})});
  CHECK(*vote == tensor({0.5F, 0.5F, 0.5F, 0.5F, 0.5F, 0.5F}, {3, 2}));
}

TEST_CASE("more classes than are kept give the same sums", "[soft_vote]") {
  Numbers many(200);
  for (std::size_t i = 0; i < many.size(); ++i) many[i] = 0.01 * static_cast<double>(i);
  double sum = 0;
  const auto vote = combined<Numbers>(SoftVote{}, {many, many});
  for (const double p : *vote) sum += p;
  CHECK(sum == Approx(1));
}

TEST_CASE("a member that says NaN makes the distribution NaN", "[soft_vote]") {
  const auto vote = combined<Numbers>(SoftVote{}, {Numbers{not_a_number, 1}, Numbers{0, 0}});
  CHECK(std::isnan((*vote)[0]));
  CHECK(std::isnan((*vote)[1]));
  CHECK(combined<Numbers>(SoftVote{}, {no}).status() == Status::internal);
  CHECK(combined<Numbers>(SoftVote{}, {Numbers{}, Numbers{}})->empty());
}

TEST_CASE("the surest member's answer wins, of equals the earliest's", "[max_confidence]") {
  const MaxConfidence<> logits;
  CHECK(*combined<Numbers>(logits, {Numbers{0, 1}, Numbers{0, 5}, Numbers{3, 0}}) == Numbers{0, 5});
  CHECK(*combined<Numbers>(logits, {Numbers{2, 0}, Numbers{7, 5}}) == Numbers{2, 0});
  const MaxConfidence probabilities{TopScore{Scores::probabilities}};
  CHECK(*combined<Numbers>(probabilities, {Numbers{0.6, 0.4}, no, Numbers{0.1, 0.9}}) ==
        Numbers{0.1, 0.9});
  CHECK(*combined<Tensor>(logits, {tensor({0, 1}, {2}), tensor({0, 4}, {2})}) ==
        tensor({0, 4}, {2}));
}

TEST_CASE("who says NaN is less sure than anyone", "[max_confidence]") {
  const MaxConfidence<> sure;
  CHECK(*combined<Numbers>(sure, {Numbers{not_a_number, 9}, Numbers{0, 0}}) == Numbers{0, 0});
  CHECK(*combined<Numbers>(sure, {Numbers{0, 0}, Numbers{not_a_number, 9}}) == Numbers{0, 0});
  CHECK((*combined<Numbers>(sure, {Numbers{not_a_number, 1}, Numbers{not_a_number, 2}}))[1] == 1);
  CHECK(combined<Numbers>(sure, {no, no}).error() ==
        Error(Status::internal, "max_confidence: no member has answered"));
}

TEST_CASE("confidence may be a function of one's own", "[max_confidence]") {
  struct Guess {
    std::string label;
    double sure;
  };
  const MaxConfidence by_field{[](const Guess& guess) { return guess.sure; }};
  CHECK(combined<Guess>(by_field, {Guess{"cat", 0.4}, Guess{"dog", 0.6}})->label == "dog");
  const MaxConfidence refusing{
      [](const Guess&) -> Result<double> { return Error(Status::unavailable, "not calibrated"); }};
  CHECK(combined<Guess>(refusing, {Guess{"cat", 0.4}}).status() == Status::unavailable);
}

TEST_CASE("a stack is the members' answers side by side", "[stack]") {
  CHECK(*combined<double>(Stack{}, {1.0, 2.0}) == Numbers{1, 2});
  CHECK(*combined<Tensor>(Stack{}, {tensor({1, 2}, {2}), tensor({3, 4}, {2})}) ==
        tensor({1, 2, 3, 4}, {2, 2}));
  CHECK(combined<double>(Stack{}, {1.0, no}).error() ==
        Error(Status::internal, "stack: member 1 has not answered"));
  CHECK(combined<Tensor>(Stack{}, {tensor({1}, {1}), tensor({1, 2}, {2})}).error() ==
        Error(Status::internal, "stack: member 1 answered float32 [2], expected float32 [1]"));
}

TEST_CASE("blocks are stacked row by row into one block", "[stack]") {
  const Rows<Tensor> a = *Rows<Tensor>::of_block(tensor({1, 2, 3, 4}, {2, 2}));
  const Rows<Tensor> b = *Rows<Tensor>::of_block(tensor({5, 6, 7, 8}, {2, 2}));
  const std::vector<const Rows<Tensor>*> both{&a, &b}, one{&a, nullptr};
  const auto stacked = Stack{}.combine_rows(BatchVotes<Tensor>{both, 2, nullptr});
  REQUIRE(stacked.has_value());
  CHECK(*stacked->block() == tensor({1, 2, 5, 6, 3, 4, 7, 8}, {2, 2, 2}));
  CHECK_FALSE(Stack{}.combine_rows(BatchVotes<Tensor>{one, 2, nullptr}).has_value());
}

TEST_CASE("soft votes, confidence and stacks keep the contract of combiners",
          "[soft_vote][max_confidence][stack]") {
  const std::vector<Numbers> numbers{{0.1, 7, -2}, {1.0 / 3, -2, 0}, {0, 0, 0}};
  const std::vector<Tensor> tensors{tensor({0.1F, 7}, {2}), tensor({1.0F / 3, -2}, {2})};
  CHECK(galley::check_combiner(SoftVote{}, 3, numbers).empty());
  CHECK(galley::check_combiner(SoftVote{}, 3, tensors).empty());
  CHECK(galley::check_combiner(SoftVote{Scores::probabilities}, 2, tensors).empty());
  CHECK(galley::check_combiner(MaxConfidence<>{}, 3, numbers).empty());
  CHECK(galley::check_combiner(MaxConfidence<>{}, 3, tensors).empty());
  CHECK(galley::check_combiner(Stack{}, 3, numbers).empty());
  CHECK(galley::check_combiner(Stack{}, 3, tensors).empty());
}
