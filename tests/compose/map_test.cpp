#include <galley/compose/map.hpp>

#include <string>
#include <utility>

#include <support/catch.hpp>

using galley::Batch;
using galley::BatchCompletion;
using galley::Completion;
using galley::Outcomes;
using galley::Result;
using galley::Rows;
using galley::Servable;

TEST_CASE("map makes a servable of a function of one row", "[map]") {
  const auto length = galley::map("length", [](const std::string& s) { return s.size(); });
  static_assert(std::is_same_v<decltype(length), const Servable<std::string, std::size_t>>);
  CHECK(length.name() == "length");
  CHECK(length.serve("four") == Result<std::size_t>(std::size_t{4}));
  const auto unnamed = galley::map([](int n) -> Result<int> { return n; });
  static_assert(std::is_same_v<decltype(unnamed), const Servable<int, int>>);
  CHECK(unnamed.name() == "map");
  const auto later = galley::map("later", [](int n, Completion<double> done) { done(0.5 * n); });
  static_assert(std::is_same_v<decltype(later), const Servable<int, double>>);
  CHECK_FALSE(later.traits().inline_only);
  CHECK(later.describe().kind == "map_later");
}

TEST_CASE("map_batch makes a servable of a function of many rows", "[map]") {
  int calls = 0;
  const auto sum = galley::map_batch("tens", [&calls](const Rows<int>& rows) {
    ++calls;
    Rows<double> out;
    for (int n : rows) out.push_back(10.0 * n);
    return out;
  });
  static_assert(std::is_same_v<decltype(sum), const Servable<int, double>>);
  CHECK(*sum.serve_rows(Rows<int>{1, 2, 3})[2] == 30);
  CHECK(calls == 1);
  CHECK(sum.describe().kind == "map_batch");
  const auto view =
      galley::map_batch([](const Batch<int>& rows) { return Outcomes<int>(rows.to_rows()); });
  static_assert(std::is_same_v<decltype(view), const Servable<int, int>>);
  CHECK(view.name() == "map_batch");
  const auto later =
      galley::map_batch("later", [](Rows<int> rows, BatchCompletion<int> done) { done(rows); });
  static_assert(std::is_same_v<decltype(later), const Servable<int, int>>);
  CHECK(later.serve(5) == Result<int>(5));
}
