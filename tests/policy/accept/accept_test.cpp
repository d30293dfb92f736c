#include <galley/policy/accept/confident.hpp>
#include <galley/policy/accept/margin.hpp>

#include <array>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include <support/catch.hpp>

using galley::Confident;
using galley::confident;
using galley::Margin;
using galley::margin;
using galley::Result;
using galley::Scores;
using galley::Status;
using galley::Tensor;

namespace {

using Row = std::vector<float>;

Tensor tensor_of(const Row& row) {
  return *Tensor::copy_of(std::span(row), {static_cast<std::int64_t>(row.size())});
}

}  // namespace

TEST_CASE("the highest probability decides, or the two highest", "[accept]") {
  struct Case {
    Row scores;
    Scores kind;
    double first;
    double second;
  };
  const float ln2 = std::log(2.0F);
  const std::vector<Case> cases{
      {{0.2F, 0.7F, 0.1F}, Scores::probabilities, 0.7, 0.2},
      {{0.7F, 0.2F, 0.1F}, Scores::probabilities, 0.7, 0.2},
      {{0.5F, 0.5F}, Scores::probabilities, 0.5, 0.5},
      {{0.6F}, Scores::probabilities, 0.6, 0},
      {{0, ln2, 2 * ln2}, Scores::logits, 4.0 / 7, 2.0 / 7},
      {{1000, 1000}, Scores::logits, 0.5, 0.5},
      {{-1000, -1000 + ln2}, Scores::logits, 2.0 / 3, 1.0 / 3},
      {{5}, Scores::logits, 1, 0},
  };
  for (const Case& c : cases) {
    for (const double off : {-0.01, 0.01}) {
      CAPTURE(c.scores, off);
      const auto above = [&](const Result<bool>& said) {
        REQUIRE(said.has_value());
        return *said;
      };
      CHECK(above(confident(c.first + off, c.kind)(c.scores)) == (off < 0));
      CHECK(above(margin(c.first - c.second + off, c.kind)(c.scores)) == (off < 0));
      CHECK(above(confident(c.first + off, c.kind)(tensor_of(c.scores))) == (off < 0));
      CHECK(above(margin(c.first - c.second + off, c.kind)(tensor_of(c.scores))) == (off < 0));
    }
  }
}

TEST_CASE("what is no number is accepted by no threshold", "[accept]") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const Row& scores : {Row{nan, 0.9F}, Row{0.9F, nan}, Row{nan}, Row{}}) {
    for (const Scores kind : {Scores::probabilities, Scores::logits}) {
      CAPTURE(scores);
      CHECK_FALSE(*confident(0, kind)(scores));
      CHECK_FALSE(*margin(0, kind)(scores));
    }
  }
  // One score that is infinitely above the others is certain; two of them are not to be told apart.
  const float inf = std::numeric_limits<float>::infinity();
  CHECK_FALSE(*confident(0.4, Scores::logits)(Row{inf, inf}));
  CHECK(*confident(0.9, Scores::logits)(Row{-inf, 1}));
}

TEST_CASE("scores of another kind are refused by name", "[accept]") {
  const std::array<std::int64_t, 2> whole{1, 2};
  const Tensor integers = *Tensor::copy_of(std::span(whole), {2});
  const Result<bool> said = confident(0.9)(integers);
  REQUIRE_FALSE(said.has_value());
  CHECK(said.status() == Status::invalid_argument);
  CHECK(said.error().detail == "scores: expected float32 or float64, got int64");
  CHECK_FALSE(margin(0.9)(integers).has_value());
  CHECK(*confident(0.9)(std::array{1.0, 4.0}));
  CHECK_FALSE(*confident(0.97)(std::array{1.0, 4.0}));
}
