#include <galley/compose/logic.hpp>
#include <galley/core/slot.hpp>

#include <support/batching.hpp>
#include <support/clock.hpp>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <support/catch.hpp>

using galley::Batch;
using galley::BatchCaller;
using galley::BatchContext;
using galley::Casualties;
using galley::Context;
using galley::Error;
using galley::Key;
using galley::logic_batch;
using galley::ManualExecutor;
using galley::Outcomes;
using galley::RequestRun;
using galley::Result;
using galley::RowIndex;
using galley::Rows;
using galley::Servable;
using galley::Status;
using galley::with_later;
using support::BatchLog;
using support::IntEar;
using support::logged;
using namespace std::chrono_literals;

namespace {

using Numbers = std::vector<int>;

/// Asks the first with all rows, and the second again for the odd and the failed.
constexpr auto second_opinion = [](const Batch<int>& rows, auto& first, auto& second) {
  Outcomes<int> found = first();
  std::vector<RowIndex> again;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] % 2 != 0 || !found[i].has_value()) again.push_back(static_cast<RowIndex>(i));
  }
  return with_later(std::move(found), again, second(again));
};

Servable<int, int> negated() {
  return galley::map("negated", [](int n) -> Result<int> {
    if (n == 5) return Error(Status::not_found, "five");
    return -n;
  });
}

}  // namespace

TEST_CASE("a function of whole batches asks servables for some rows", "[logic]") {
  const auto log = std::make_shared<BatchLog>();
  const auto graph = logic_batch<int>("second opinion", second_opinion, logged(log), negated());
  const Outcomes<int> outcomes = graph.serve_rows(Rows<int>{2, 3, -4, 5, 6});
  CHECK(*outcomes[0] == 20);
  CHECK(*outcomes[1] == -3);
  CHECK(*outcomes[2] == 4);
  CHECK(outcomes[3].error() == Error(Status::not_found, "second opinion: negated: five"));
  CHECK(*outcomes[4] == 60);
  CHECK(log->batches == std::vector<Numbers>{{2, 3, -4, 5, 6}});
  CHECK(graph.serve(7) == Result<int>(-7));
  CHECK(graph.serve_rows(Rows<int>{}).empty());
  IntEar ear;
  graph.submit_rows(Rows<int>{1, 2}, {}, ear.listen(2));
  CHECK(ear.value(0) == -1);
  CHECK(ear.value(1) == 20);
}

TEST_CASE("values may be of another type, and several to a row", "[logic]") {
  const auto log = std::make_shared<BatchLog>();
  const auto graph = logic_batch<std::string>(
      "sizes",
      [](const Batch<std::string>& rows, const BatchCaller<std::string, int, int>& model) {
        Rows<int> sizes(rows.size());
        std::vector<RowIndex> row_of;
        Rows<int> letters;
        for (std::size_t i = 0; i < rows.size(); ++i) {
          sizes.push_back(static_cast<int>(rows[i].size()));
          for (const char c : rows[i]) {
            row_of.push_back(static_cast<RowIndex>(i));
            letters.push_back(c - 'a');
          }
        }
        const Outcomes<int> of_rows = model(std::move(sizes));
        const Outcomes<int> of_letters = model(row_of, letters);
        Rows<int> sums(of_rows.survivors());
        for (std::size_t i = 0; i < row_of.size(); ++i) sums[row_of[i]] += *of_letters[i];
        return sums;
      },
      logged(log));
  const std::vector<Context> contexts{{.request_id = 5}, {.request_id = 6}};
  const std::vector<RequestRun> runs{{&contexts[0], 2}, {&contexts[1], 1}};
  const std::vector<Key> keys{50, 60, 70};
  const Rows<std::string> rows{"ab", "", "cde"};
  const Outcomes<int> outcomes =
      graph.serve_batch(Batch<std::string>(rows), BatchContext(runs, keys));
  CHECK(*outcomes[0] == 30);
  CHECK(*outcomes[1] == 0);
  CHECK(*outcomes[2] == 120);
  REQUIRE(log->batches.size() == 2);
  CHECK(log->batches[1] == Numbers{0, 1, 2, 3, 4});
  CHECK(log->requests[1] == std::vector<std::uint64_t>{5, 5, 6, 6, 6});
  CHECK(log->keys[1] == std::vector<Key>{50, 50, 70, 70, 70});
}

TEST_CASE("calls with the wrong rows or another number of values are refused", "[logic]") {
  const auto log = std::make_shared<BatchLog>();
  std::vector<Outcomes<int>> found;
  const auto graph = logic_batch<int>(
      "wrong",
      [&found](const Batch<int>& rows, auto& model) {
        const std::vector<RowIndex> beyond{0, 3}, unsorted{1, 0}, one{1};
        found.push_back(model(beyond));
        found.push_back(model(unsorted, Rows<int>{1, 2}));
        found.push_back(model(one, Rows<int>{1, 2}));
        found.push_back(model(Rows<int>{1}));
        found.push_back(model(std::vector<RowIndex>()));
        return Rows<int>(rows.size() == 3 ? Rows<int>{1, 2, 3} : Rows<int>());
      },
      logged(log));
  CHECK(graph.serve_rows(Rows<int>{1, 2, 3}).all_ok());
  REQUIRE(found.size() == 5);
  CHECK(found[0].size() == 2);
  CHECK(found[1][1].status() == Status::internal);
  CHECK(found[2][0].error() ==
        Error(Status::internal,
              "model: asked with 2 values for 1 rows, expected one for each of some rows of the 3, "
              "ascending"));
  CHECK(found[2].size() == 1);
  CHECK(found[3].size() == 3);
  CHECK(found[3][0].status() == Status::internal);
  CHECK(found[4].empty());
  CHECK(log->batches.empty());
}

TEST_CASE("a function that throws for a row is asked again about the others", "[logic]") {
  const auto log = std::make_shared<BatchLog>();
  const auto throws = [](const Batch<int>& rows, auto& model) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i] == 13) throw std::runtime_error("unlucky");
    }
    return model();
  };
  const auto graph = logic_batch<int>("throws", throws, logged(log));
  const Outcomes<int> outcomes = graph.serve_rows(Rows<int>{1, 13, 3, 4});
  CHECK(*outcomes[0] == 10);
  CHECK(outcomes[1].error() == Error(Status::internal, "throws: threw: unlucky"));
  CHECK(*outcomes[2] == 30);
  CHECK(*outcomes[3] == 40);
  const auto once = logic_batch<int>("once", throws, logged(log, {.repeatable = false}));
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(once.serve_rows(Rows<int>{1, 13})[i].status() == Status::internal);
  }
  const auto miscounts = logic_batch<int>(
      "miscounts", [](const Batch<int>&, auto& model) { return model(std::vector<RowIndex>{0}); },
      logged(log));
  CHECK(miscounts.serve(1) == Result<int>(10));
  CHECK(miscounts.serve_rows(Rows<int>{1, 2}).all_ok());  // one by one
}

TEST_CASE("rows whose request is over are answered without the function", "[logic]") {
  support::HandClock clock;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = logic_batch<int>("second opinion", second_opinion, logged(log), negated());
  const Rows<int> rows{2, 3, 4};
  const std::vector<Context> contexts{{}, {.deadline = clock.now()}, {}};
  std::vector<RequestRun> runs;
  for (const Context& context : contexts) runs.push_back({&context, 1});
  const Outcomes<int> outcomes = graph.serve_batch(Batch<int>(rows), BatchContext(runs, {}));
  CHECK(*outcomes[0] == 20);
  CHECK(outcomes[1].status() == Status::deadline_exceeded);
  CHECK(*outcomes[2] == 40);
  CHECK(log->batches == std::vector<Numbers>{{2, 4}});
}

TEST_CASE("servables that wait need an executor, and are waited for there", "[logic]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto batched = galley::batched(executor, logged(log));
  const auto refused = logic_batch<int>("l", second_opinion, negated(), batched);
  CHECK(refused.check().error() ==
        Error(Status::failed_precondition,
              "l: \"batched(model)\" waits for other threads, and a logic_batch calls it on the "
              "caller's: give logic_batch an executor to wait on, or use logic"));
  CHECK(refused.serve(1).status() == Status::failed_precondition);

  const auto graph = logic_batch<int>(executor, "l", second_opinion, negated(), batched);
  CHECK(graph.check().has_value());
  CHECK(graph.name() == "on(l)");
  CHECK_FALSE(graph.traits().inline_only);
  IntEar ear;
  graph.submit_rows(Rows<int>{1, 2, 5}, {}, ear.listen(3));
  CHECK(ear.answers == 0);
  executor.run_all();
  CHECK(ear.value(0) == 10);
  CHECK(ear.value(1) == -2);
  CHECK(ear.value(2) == 50);
  CHECK(*graph.serve_rows(Rows<int>{2, 3})[1] == 30);
  galley::BatchStatistics statistics;
  CHECK(graph.control("l/batched(model)", statistics).has_value());
}

TEST_CASE("all calls of a batch see one version", "[logic]") {
  auto [live, publisher] = galley::slot("slot", galley::map("old", [](int n) { return n; }));
  const auto publish = [&publisher = publisher] {
    return publisher.publish(galley::map("new", [](int) { return 1000; })).has_value();
  };
  const auto graph = logic_batch<int>(
      "twice",
      [publish](const Batch<int>& rows, auto& model) {
        Rows<int> sums = model().survivors();
        CHECK(publish());
        const Outcomes<int> again = model();
        for (std::size_t i = 0; i < rows.size(); ++i) sums[i] += *again[i];
        return sums;
      },
      live);
  CHECK(graph.traits().versioned);
  CHECK(*graph.serve_rows(Rows<int>{1, 2})[1] == 4);
  CHECK(graph.serve(1) == Result<int>(2000));
}

TEST_CASE("logic_batch looks like its neighbours", "[logic]") {
  const auto log = std::make_shared<BatchLog>();
  const auto graph =
      logic_batch<int>("l", second_opinion, logged(log, {.stateful = true}), negated());
  const galley::Description d = graph.describe();
  CHECK(d.kind == "logic_batch");
  CHECK(d.name == "l");
  REQUIRE(d.children.size() == 2);
  CHECK(d.children[1].name == "negated");
  CHECK(graph.traits().inline_only);
  CHECK(graph.traits().stateful);
  CHECK(graph.prepare().has_value());
  const auto broken =
      logic_batch<int>("l", second_opinion, negated(),
                       Servable<int, int>::broken("b", Error(Status::not_found, "no")));
  CHECK(broken.check().error() == Error(Status::not_found, "l: b: no"));
}

TEST_CASE("later outcomes for other rows than some of the batch's make all internal", "[logic]") {
  const std::vector<RowIndex> two{0, 1}, twice{1, 1}, beyond{2}, back{1, 0};
  for (const auto& rows : {two, twice, beyond, back}) {
    const std::size_t count = rows == two ? 1 : rows.size();
    Rows<int> later;
    for (std::size_t i = 0; i < count; ++i) later.push_back(7);
    const Outcomes<int> all =
        with_later(Outcomes<int>(Rows<int>{1, 2}), rows, Outcomes<int>(std::move(later)));
    REQUIRE(all.size() == 2);
    CHECK(all[0].status() == Status::internal);
    CHECK(all[1].status() == Status::internal);
  }
}

TEST_CASE("later outcomes take the place of the first, whatever failed", "[logic]") {
  constexpr std::size_t n = 5;
  for (unsigned failed = 0; failed < 1U << n; ++failed) {
    for (unsigned named = 0; named < 1U << n; ++named) {
      for (unsigned later_failed = 0; later_failed < 1U << n; ++later_failed) {
        Outcomes<int> first, later;
        std::vector<RowIndex> rows;
        for (std::size_t i = 0; i < n; ++i) {
          const unsigned bit = 1U << i;
          const int value = static_cast<int>(i);
          if ((failed & bit) != 0) {
            first.casualties().append(i, Error(Status::not_found));
          } else {
            first.survivors().push_back(value);
          }
          if ((named & bit) == 0) continue;
          if ((later_failed & bit) != 0) {
            later.casualties().append(rows.size(), Error(Status::data_loss));
          } else {
            later.survivors().push_back(10 * value);
          }
          rows.push_back(static_cast<RowIndex>(i));
        }
        const Outcomes<int> all = with_later(std::move(first), rows, std::move(later));
        int wrong = all.answers(n) ? 0 : 1;
        for (std::size_t i = 0; i < n; ++i) {
          const unsigned bit = 1U << i;
          const bool is_named = (named & bit) != 0;
          const bool fails = ((is_named ? later_failed : failed) & bit) != 0;
          const int value = static_cast<int>(i) * (is_named ? 10 : 1);
          if (all[i].has_value() == fails || (!fails && *all[i] != value)) ++wrong;
        }
        if (wrong != 0) FAIL(failed << ' ' << named << ' ' << later_failed);
      }
    }
  }
}
