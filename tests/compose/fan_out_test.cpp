#include <galley/compose/fan_out.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/core/slot.hpp>
#include <galley/testing/contracts/servable.hpp>
#include <galley/testing/manual_executor.hpp>

#include <support/batching.hpp>

#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::Error;
using galley::fan_out;
using galley::ManualExecutor;
using galley::map;
using galley::Outcomes;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::Status;

namespace {

using Both = std::tuple<std::string, double, int>;

const auto text = map("text", [](int n) -> Result<std::string> {
  if (n % 5 == 1) return Error(Status::invalid_argument, "no text");
  return std::to_string(n);
});
const auto half = map("half", [](int n) -> Result<double> {
  if (n % 3 == 0) return Error(Status::unavailable, "no half");
  return n / 2.0;
});

Result<Both> wanted(int n) {
  if (n % 5 == 1) return Error(Status::invalid_argument, "text: no text");
  if (n % 3 == 0) return Error(Status::unavailable, "half: no half");
  return Both(std::to_string(n), n / 2.0, n * 10);
}

}  // namespace

TEST_CASE("unlike answers come back as a tuple, or the first member's error", "[fan_out]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<support::BatchLog>();
  const auto tens = support::logged(log);
  const auto later = [&](const auto& servable) { return galley::on(executor, servable); };
  const Rows<int> rows{1, 2, 3, 4, 5, 6, 7, 21};
  for (const auto& graph :
       {fan_out(text, half, tens), fan_out(later(text), half, tens),
        fan_out(text, half, later(tens)), fan_out(later(text), half, later(tens)),
        fan_out(later(text), later(half), later(tens))}) {
    const Outcomes<Both> now = graph.serve_rows(rows);
    support::BatchEar<Both> ear;
    graph.submit_rows(Rows<int>(rows), {}, ear.listen(rows.size()));
    executor.run_ready();
    REQUIRE(now.size() == rows.size());
    REQUIRE(ear.answers == 1);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      CHECK(now[i].result() == wanted(rows[i]));
      CHECK(ear.heard[i].result() == wanted(rows[i]));
      CHECK(graph.serve(rows[i]) == wanted(rows[i]));
    }
  }
}

TEST_CASE("rows that failed are not asked of the rest, where members are asked in turn",
          "[fan_out]") {
  const auto log = std::make_shared<support::BatchLog>();
  const auto graph = fan_out(text, half, support::logged(log));
  CHECK(graph.name() == "fan_out(text, half, model)");
  const std::vector<galley::Key> keys{1, 2, 3, 4};
  CHECK_FALSE(graph.serve_rows(Rows<int>{1, 2, 3, 4}, {}, {.keys = keys}).all_ok());
  CHECK(log->batches == std::vector<std::vector<int>>{{2, 4}});
  CHECK(log->keys == std::vector<std::vector<galley::Key>>{{2, 4}});
}

TEST_CASE("a fan-out keeps the contract of servables", "[fan_out]") {
  const ManualExecutor executor;
  const std::vector<int> samples{1, 2, 3, 4, 5, 6, 21};
  const auto tens = map("tens", [](int n) { return n * 10; });
  for (const auto& graph : {fan_out(text, half, tens), fan_out(galley::on(executor, text),
                                                               galley::on(executor, half), tens)}) {
    const auto failures = galley::check_servable<int, Both>(graph, samples, std::equal_to<>(),
                                                            [&] { executor.run_all(); });
    CHECK(failures.empty());
  }
}

TEST_CASE("members that answer later are asked at once", "[fan_out]") {
  const ManualExecutor executor;
  const auto graph = fan_out(galley::on(executor, text), galley::on(executor, half));
  int answers = 0;
  graph.submit(2, {}, [&](const Result<std::tuple<std::string, double>>&) { ++answers; });
  CHECK(executor.pending() == 2);
  executor.run_ready();
  CHECK(answers == 1);
}

TEST_CASE("serve submits to all that answer later before it waits for any", "[fan_out]") {
  const ManualExecutor executor;
  std::string seen;
  std::optional<galley::Completion<int>> kept;
  const Servable<int, int> first("first", [&](int n, galley::Completion<int> done) {
    seen += "first ";
    kept.emplace(std::move(done));
    (void)n;
  });
  const auto last = map("last", [&](int n) {
    seen += "last ";
    (*kept)(7);  // only now does the first answer
    return n * 1.0;
  });
  const auto graph = fan_out(first, galley::on(executor, last));
  CHECK(graph.serve(2) == Result<std::tuple<int, double>>(std::tuple(7, 2.0)));
  CHECK(seen == "first last ");
}

TEST_CASE("what fans out over one slot sees one version of it", "[fan_out]") {
  const auto made = galley::slot("slot", map("one", [](int) { return 1; }));
  const auto publish = map("publish", [&](int n) {
    CHECK(made.publisher.publish(map("two", [](int) { return 2; })).has_value());
    return n * 1.0;
  });
  const auto graph = fan_out(made.servable, publish, made.servable);
  CHECK(graph.serve(0) == Result<std::tuple<int, double, int>>(std::tuple(1, 0.0, 1)));
}

TEST_CASE("a dropped fan-out still answers", "[fan_out]") {
  const ManualExecutor executor;
  const auto alive = std::make_shared<int>(0);
  int answers = 0;
  {
    const auto keep = map("keep", [alive](int n) { return n; });
    const auto graph = fan_out(galley::on(executor, keep), galley::on(executor, keep));
    graph.submit(2, {}, [&](const Result<std::tuple<int, int>>& both) {
      ++answers;
      CHECK(both.has_value());
    });
  }
  executor.run_ready();
  CHECK(answers == 1);
  CHECK(alive.use_count() == 1);
}
