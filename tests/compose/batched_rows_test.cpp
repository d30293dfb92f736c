// Rows of ordinary types and structs of arrays.
#include <support/batching.hpp>
#include <support/rows.hpp>

#include <chrono>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::batched;
using galley::ManualExecutor;
using galley::Result;
using galley::Rows;
using galley::SizeOrDelay;
using galley::Status;
using support::always_queued;
using support::BatchEar;
using support::Counted;
using support::Particle;
using namespace std::chrono_literals;

TEST_CASE("queued rows are moved, not copied, into their batch", "[batched]") {
  const ManualExecutor executor;
  const auto graph =
      batched(executor, galley::map("look", [](const Counted& c) { return c.value; }), {},
              SizeOrDelay{3, 0ns});
  Counted::copies = 0;
  std::vector<BatchEar<int>> ears(3);
  graph.submit(Counted(1), {}, ears[0].listen());
  Rows<Counted> many;
  for (int i = 2; i < 6; ++i) many.push_back(Counted(i));
  graph.submit_rows(std::move(many), {}, ears[1].listen(4));
  graph.submit(Counted(6), {}, ears[2].listen());
  executor.run_ready();
  CHECK(Counted::copies == 0);
  CHECK(ears[0].value() == 1);
  CHECK(ears[1].value(0) == 2);
  CHECK(ears[1].value(3) == 5);
  CHECK(ears[2].value() == 6);
  CHECK(graph.serve(Counted(7)) == Result<int>(7));
  CHECK(Counted::copies == 0);
}

TEST_CASE("answers are moved to their requests", "[batched]") {
  const ManualExecutor executor;
  const auto graph = batched(executor, galley::map("make", [](int n) { return Counted(n); }));
  Counted::copies = 0;
  std::vector<int> heard;
  for (int i = 0; i < 3; ++i) {
    graph.submit(i, {}, [&heard](Result<Counted> r) { heard.push_back(r->value); });
  }
  executor.run_ready();
  CHECK(heard == std::vector<int>{0, 1, 2});
  CHECK(Counted::copies == 0);
}

TEST_CASE("answers that can only be moved reach their requests", "[batched]") {
  const ManualExecutor executor;
  const auto graph =
      batched(executor, galley::map("make", [](int n) { return support::MoveOnly(n); }), {},
              SizeOrDelay{2, 0ns});
  BatchEar<support::MoveOnly> one, three;
  graph.submit_rows(Rows<int>{1, 2, 3}, {}, three.listen(3));
  graph.submit(4, {}, one.listen());
  executor.run_ready();
  REQUIRE(three.answers == 1);
  CHECK((*three.heard[2]).get() == 3);
  CHECK((*one.heard[0]).get() == 4);
}

TEST_CASE("texts, wide rows, truths and particles are batched", "[batched]") {
  const ManualExecutor executor;
  SECTION("texts") {
    const auto graph =
        batched(executor, galley::map("long", [](const std::string& s) { return s + s; }));
    std::vector<BatchEar<std::string>> ears(2);
    graph.submit("a text that is long enough for the heap", {}, ears[0].listen());
    graph.submit_rows(Rows<std::string>{"b", "c"}, {}, ears[1].listen(2));
    executor.run_ready();
    CHECK(ears[0].value().size() == 78);
    CHECK(ears[1].value(1) == "cc");
  }
  SECTION("wide rows") {
    const auto graph = batched(executor, galley::map("wide", [](const support::Wide& w) {
                                 return support::Wide{w.value + 1};
                               }));
    std::vector<BatchEar<support::Wide>> ears(2);
    for (int i = 0; i < 2; ++i) graph.submit({i}, {}, ears[static_cast<std::size_t>(i)].listen());
    executor.run_ready();
    CHECK(ears[1].value().value == 2);
  }
  SECTION("truths") {
    const auto graph = batched(executor, galley::map("not", [](bool b) { return !b; }));
    std::vector<BatchEar<bool>> ears(2);
    graph.submit(true, {}, ears[0].listen());
    graph.submit_rows(Rows<bool>{false, true}, {}, ears[1].listen(2));
    executor.run_ready();
    CHECK_FALSE(ears[0].value());
    CHECK(ears[1].value(0));
    CHECK_FALSE(ears[1].value(1));
  }
  SECTION("particles") {
    const auto graph = batched(executor,
                               galley::map_batch("move",
                                                 [](const Rows<Particle>& rows) {
                                                   Rows<Particle> out;
                                                   for (std::size_t i = 0; i < rows.size(); ++i) {
                                                     out.push_back({rows.xs()[i] + 1, rows[i].id});
                                                   }
                                                   return out;
                                                 }),
                               {}, SizeOrDelay{4, 0ns});
    Rows<Particle> five;
    for (int i = 0; i < 5; ++i) five.push_back({static_cast<float>(i), i});
    BatchEar<Particle> one, many;
    graph.submit({9, 9}, {}, one.listen());
    graph.submit_rows(std::move(five), {}, many.listen(5));
    executor.run_ready();
    CHECK(one.value() == Particle{10, 9});
    for (int i = 0; i < 5; ++i) {
      CHECK(many.value(static_cast<std::size_t>(i)) == Particle{static_cast<float>(i + 1), i});
    }
  }
}

namespace {

struct Fragile {
  explicit Fragile(int of) : value(of) {}
  Fragile(const Fragile& other) : value(other.value) {
    if (value == 13) throw std::runtime_error("cannot copy 13");
  }
  Fragile(Fragile&&) noexcept = default;
  Fragile& operator=(Fragile&&) noexcept = default;
  int value;
};

}  // namespace

TEST_CASE("a row that cannot be copied for the queue fails alone, and nothing is thrown",
          "[batched]") {
  const ManualExecutor executor;
  const auto graph = batched(
      executor, galley::map("look", [](const Fragile& f) { return f.value; }), always_queued);
  const Fragile bad(13), good(1);
  BatchEar<int> beside;
  graph.submit(Fragile(2), {}, beside.listen());
  CHECK(graph.serve(bad).status() == Status::internal);
  CHECK(graph.serve(good) == Result<int>(1));
  CHECK(beside.value() == 2);
}
