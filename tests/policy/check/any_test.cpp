#include <galley/policy/check/any.hpp>
#include <galley/policy/check/finite.hpp>
#include <galley/policy/check/in_range.hpp>

#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <support/catch.hpp>

using galley::AllOfAny;
using galley::AnyCheck;
using galley::check_row;
using galley::Error;
using galley::finite;
using galley::in_range;
using galley::passes_rows;
using galley::Result;
using galley::Rows;
using galley::Status;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
const std::vector<double> numbers{-1, 0, 0.5, 10, 10.5, not_a_number};

}  // namespace

TEST_CASE("any check finds fit what the one that it holds does", "[check]") {
  const AnyCheck<double> within = in_range(0, 10), all = finite();
  for (const double number : numbers) {
    CHECK(within.check(number) == check_row(in_range(0, 10), number));
    CHECK(all.check(number) == check_row(finite(), number));
  }
  CHECK(AnyCheck<double>().check(not_a_number).has_value());
}

TEST_CASE("any check looks at whole batches as the one that it holds", "[check]") {
  const AnyCheck<double> within = in_range(0, 10);
  for (const Rows<double>& rows : {Rows<double>{1, 2}, Rows<double>{1, 20}, Rows<double>{}}) {
    CHECK(within.passes(rows) == passes_rows(in_range(0, 10), rows));
  }
  CHECK(within.passes(Rows<double>{1, 2}));
  CHECK(AnyCheck<double>().passes(Rows<double>{not_a_number}));
  CHECK_FALSE(AnyCheck<double>([](double) { return true; }).passes(Rows<double>{1}));
}

TEST_CASE("any check is called as the one that it holds", "[check]") {
  CHECK(AnyCheck<double>(in_range(0, 10)).text() == in_range(0, 10).text());
  CHECK(AnyCheck<double>([](double) { return true; }).text().empty());
  CHECK(AnyCheck<double>().text() == "nothing");
}

TEST_CASE("a check that is a function answers whether, or why not", "[check]") {
  const AnyCheck<int> even = [](int n) { return n % 2 == 0; };
  CHECK(even.check(2).has_value());
  CHECK(even.check(3).error() == Error(Status::invalid_argument, "refused"));
  const AnyCheck<int> told = [](int n) -> Result<void> {
    if (n == 0) return Error(Status::not_found, "nought");
    return {};
  };
  CHECK(told.check(1).has_value());
  CHECK(told.check(0).error() == Error(Status::not_found, "nought"));
}

TEST_CASE("copies of any check share the one that it holds", "[check]") {
  const auto most = std::make_shared<int>(4);
  std::optional<AnyCheck<int>> any = [most](int n) { return n <= *most; };
  const AnyCheck<int> copy = *any;
  CHECK(most.use_count() == 2);
  any.reset();
  CHECK(copy.check(4).has_value());
  CHECK_FALSE(copy.check(5).has_value());
}

TEST_CASE("what a check throws passes through any", "[check]") {
  const AnyCheck<int> throws = [](int n) {
    if (n == 0) throw std::runtime_error("nought");
    return true;
  };
  CHECK(throws.check(1).has_value());
  CHECK_THROWS_AS(throws.check(0), std::runtime_error);
}

TEST_CASE("all of any number of checks are one, the first error theirs", "[check]") {
  const AllOfAny<double> all{{finite(), in_range(0, 10), [](double) { return true; }}};
  CHECK(all.check(5).has_value());
  CHECK(all.check(not_a_number) == check_row(finite(), not_a_number));
  CHECK(all.check(11) == check_row(in_range(0, 10), 11.0));
  CHECK(all.text() == finite().text() + ", " + in_range(0, 10).text() + ", a function");
  CHECK_FALSE(all.passes(Rows<double>{1}));  // the function cannot say
  CHECK(AllOfAny<double>{{finite(), in_range(0, 10)}}.passes(Rows<double>{1}));
  CHECK(AllOfAny<double>{}.check(not_a_number).has_value());
  CHECK(AnyCheck<double>(all).text() == all.text());
}
