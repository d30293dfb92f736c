#include <galley/core/result.hpp>

#include <support/rows.hpp>

#include <memory>
#include <string>
#include <utility>

#include <support/catch.hpp>

using galley::Error;
using galley::Result;
using galley::Status;
using support::MoveOnly;

namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return Error(Status::invalid_argument, "odd");
  return n / 2;
}

Result<void> must_be_even(int n) {
  GALLEY_TRY(half(n).transform([](int) { return 0; }));
  return {};
}

Result<int> quarter(int n) {
  GALLEY_TRY(const int once, half(n));
  GALLEY_TRY(int twice, half(once));
  return twice;
}

Result<MoveOnly> boxed(int n) {
  GALLEY_TRY(int checked, half(n));
  GALLEY_TRY(MoveOnly box, Result<MoveOnly>(MoveOnly(checked)));
  return box;
}

}  // namespace

TEST_CASE("a result holds a value or an error", "[result]") {
  Result<int> good = 4;
  CHECK(good.has_value());
  CHECK(static_cast<bool>(good));
  CHECK(good.status() == Status::ok);
  CHECK(*good == 4);
  Result<int> bad = Error(Status::not_found, "x");
  CHECK_FALSE(bad.has_value());
  CHECK(bad.status() == Status::not_found);
  CHECK(bad.error().detail == "x");
  CHECK(Result<int>().has_value());
  CHECK(*Result<int>() == 0);
}

TEST_CASE("a result is made from what its value is made from", "[result]") {
  const Result<std::string> text = "abc";
  CHECK(*text == "abc");
  CHECK(text->size() == 3);
  const Result<std::string> made(std::in_place, 3u, 'z');
  CHECK(*made == "zzz");
}

TEST_CASE("copies and moves of a result keep what it holds", "[result]") {
  Result<std::string> value = "long enough to live on the heap, so that a leak shows";
  const Result<std::string> error = Error(Status::internal, "also long enough to live on the heap");
  Result<std::string> copy = value;
  CHECK(copy == value);
  copy = error;
  CHECK(copy == error);
  copy = value;
  CHECK(copy == value);
  Result<std::string> moved = std::move(copy);
  CHECK(moved == value);
  copy = std::move(moved);
  CHECK(copy == value);
  const Result<std::string>& itself = copy;
  copy = itself;
  CHECK(copy == value);
  Result<std::string>& same = copy;
  copy = std::move(same);
  CHECK(copy == value);
}

TEST_CASE("results are equal when their values or their errors are", "[result]") {
  CHECK(Result<int>(1) == Result<int>(1));
  CHECK_FALSE(Result<int>(1) == Result<int>(2));
  CHECK_FALSE(Result<int>(1) == Result<int>(Error(Status::internal)));
  CHECK(Result<int>(Error(Status::internal, "a")) == Result<int>(Error(Status::internal, "a")));
  CHECK_FALSE(Result<int>(Error(Status::internal, "a")) == Result<int>(Error(Status::internal)));
  CHECK(Result<void>() == Result<void>());
  CHECK_FALSE(Result<void>() == Result<void>(Error(Status::internal)));
}

TEST_CASE("a result of a move-only type is moved", "[result]") {
  Result<MoveOnly> box = MoveOnly(7);
  CHECK(box->get() == 7);
  MoveOnly out = *std::move(box);
  CHECK(out.get() == 7);
  CHECK(box.has_value());
  CHECK(boxed(8)->get() == 4);
  CHECK(boxed(7).status() == Status::invalid_argument);
}

TEST_CASE("value_or gives the value, else what it is told", "[result]") {
  CHECK(Result<int>(3).value_or(9) == 3);
  const Result<int> bad = Error(Status::internal);
  CHECK(bad.value_or(9) == 9);
  CHECK(Result<std::string>(Error(Status::internal)).value_or("none") == "none");
}

TEST_CASE("and_then and transform pass errors through", "[result]") {
  CHECK(*half(8).and_then(half) == 2);
  CHECK(half(6).and_then(half).status() == Status::invalid_argument);
  CHECK(*half(8).transform([](int n) { return std::to_string(n); }) == "4");
  CHECK(half(7).transform([](int n) { return n; }).error().detail == "odd");
}

TEST_CASE("GALLEY_TRY goes on with the value or returns the error", "[result]") {
  CHECK(*quarter(12) == 3);
  CHECK(quarter(6).error() == Error(Status::invalid_argument, "odd"));
  CHECK(must_be_even(2).has_value());
  CHECK(must_be_even(3).status() == Status::invalid_argument);
}

TEST_CASE("a result of nothing is success or an error", "[result]") {
  const Result<void> good;
  CHECK(good.has_value());
  CHECK(good.status() == Status::ok);
  Result<void> bad = Error(Status::cancelled, "x");
  CHECK_FALSE(static_cast<bool>(bad));
  CHECK(std::move(bad).error().detail == "x");
}
