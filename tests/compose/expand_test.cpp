#include <galley/compose/expand.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/core/slot.hpp>
#include <galley/core/tensor_rows.hpp>

#include <support/batching.hpp>
#include <support/clock.hpp>
#include <support/rows.hpp>

#include <chrono>
#include <memory>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <vector>

#include <support/catch.hpp>

using galley::Batch;
using galley::BatchContext;
using galley::Completion;
using galley::Context;
using galley::Error;
using galley::expand;
using galley::ItemOutcomes;
using galley::Key;
using galley::ManualExecutor;
using galley::Outcomes;
using galley::RequestRun;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::Status;
using support::BatchLog;
using support::IntEar;
using support::logged;
using namespace std::chrono_literals;

namespace {

/// n gives the items 1 … n; a negative n none at all, as an error.
Result<std::vector<int>> up_to(const int& n) {
  if (n < 0) return Error(Status::invalid_argument, "below 0");
  std::vector<int> items(static_cast<std::size_t>(n));
  std::iota(items.begin(), items.end(), 1);
  return items;
}

/// The row's own number by thousands, and the sum of what was found.
int thousands_and_sum(const int& n, const Rows<int>& found) {
  return 1000 * n + std::accumulate(found.begin(), found.end(), 0);
}

using Sizes = std::vector<std::size_t>;

}  // namespace

TEST_CASE("all items of all rows go on in one batch, and each row gets its own back", "[expand]") {
  const auto log = std::make_shared<BatchLog>();
  const auto graph = expand(up_to, logged(log), thousands_and_sum);
  const Outcomes<int> outcomes = graph.serve_rows(Rows<int>{3, 0, 1, 2});
  REQUIRE(outcomes.all_ok());
  CHECK(*outcomes[0] == 3060);
  CHECK(*outcomes[1] == 0);
  CHECK(*outcomes[2] == 1010);
  CHECK(*outcomes[3] == 2030);
  REQUIRE(log->batches.size() == 1);
  CHECK(log->batches[0] == std::vector<int>{1, 2, 3, 1, 1, 2});
  CHECK(graph.serve(2) == Result<int>(2030));
  CHECK(log->sizes() == Sizes{6, 2});
}

TEST_CASE("rows without items ask nobody and are collapsed with nothing", "[expand]") {
  const auto log = std::make_shared<BatchLog>();
  const auto graph = expand(up_to, logged(log), [](const int& n, const Rows<int>& found) {
    return found.empty() ? -7 : thousands_and_sum(n, found);
  });
  const Outcomes<int> outcomes = graph.serve_rows(Rows<int>{0, 0});
  CHECK(*outcomes[0] == -7);
  CHECK(*outcomes[1] == -7);
  CHECK(log->batches.empty());
  CHECK(graph.serve_rows(Rows<int>{}).empty());
}

TEST_CASE("a row whose split fails, throws or gives too much fails alone", "[expand]") {
  const auto log = std::make_shared<BatchLog>();
  const auto graph = expand(
      [](const int& n) {
        if (n == 13) throw std::runtime_error("unlucky");
        return up_to(n);
      },
      logged(log), thousands_and_sum, {.max_items = 4});
  const Outcomes<int> outcomes = graph.serve_rows(Rows<int>{2, -1, 13, 5, 4, 1});
  CHECK(*outcomes[0] == 2030);
  CHECK(outcomes[1].error() == Error(Status::invalid_argument, "expand(model): split: below 0"));
  CHECK(outcomes[2].error() == Error(Status::internal, "expand(model): split: threw: unlucky"));
  CHECK(outcomes[3].error() == Error(Status::invalid_argument,
                                     "expand(model): split gave 5 items for a row, the most is 4"));
  CHECK(*outcomes[4] == 4100);
  CHECK(*outcomes[5] == 1010);
  CHECK(log->sizes() == Sizes{7});
}

TEST_CASE("a failed item fails its row where values are collapsed", "[expand]") {
  const auto log = std::make_shared<BatchLog>();
  const auto signs = [](const int& n) { return Rows<int>{1, n, -n}; };
  const auto by_rows = expand(signs, logged(log), thousands_and_sum);
  const auto by_batch =
      expand(signs, logged(log), [](const int&, const Batch<int>& found) { return found[0]; });
  for (const auto& graph : {by_rows, by_batch}) {
    const Outcomes<int> outcomes = graph.serve_rows(Rows<int>{0, 5, -6, 0});
    CHECK(outcomes[0].has_value());
    CHECK(outcomes[1].error() ==
          Error(Status::invalid_argument, "expand(model): item 2: model: negative"));
    CHECK(outcomes[2].error() ==
          Error(Status::invalid_argument, "expand(model): item 1: model: negative"));
    CHECK(outcomes[3].has_value());
  }
}

TEST_CASE("failed items are the business of a collapse that takes outcomes", "[expand]") {
  const auto log = std::make_shared<BatchLog>();
  const auto graph = expand(
      [](const int& n) {
        return Rows<int>{n, -n, n + 1};
      },
      logged(log),
      [](const int& n, const ItemOutcomes<int>& found) -> Result<int> {
        REQUIRE(found.size() == 3);
        int sum = 0;
        for (std::size_t i = 0; i < found.size(); ++i) sum += found[i] ? *found[i] : 1000;
        CHECK(found.failed(1) == (n < 0 ? 1U : 0U));
        if (found.failed(3) == 2) return Error(Status::unavailable, "two failed");
        return sum;
      });
  const Outcomes<int> outcomes = graph.serve_rows(Rows<int>{1, -5, 0, 7});
  CHECK(*outcomes[0] == 10 + 1000 + 20);
  CHECK(outcomes[1].error() == Error(Status::unavailable, "expand(model): collapse: two failed"));
  CHECK(*outcomes[2] == 10);
  CHECK(*outcomes[3] == 70 + 1000 + 80);
}

TEST_CASE("a collapse that throws fails its row alone", "[expand]") {
  const auto log = std::make_shared<BatchLog>();
  const auto graph = expand(up_to, logged(log), [](const int& n, const Batch<int>& found) {
    if (n == 2) throw std::runtime_error("two");
    return found.size();
  });
  const Outcomes<std::size_t> outcomes = graph.serve_rows(Rows<int>{1, 2, 3});
  CHECK(*outcomes[0] == 1);
  CHECK(outcomes[1].error() == Error(Status::internal, "expand(model): collapse: threw: two"));
  CHECK(*outcomes[2] == 3);
}

TEST_CASE("rows that only move are split and collapsed, and found values may be taken",
          "[expand]") {
  using support::MoveOnly;
  const auto graph = expand(
      [](const MoveOnly& row) {
        Rows<MoveOnly> items;
        for (int i = 0; i < row.get(); ++i) items.push_back(MoveOnly(i));
        return items;
      },
      galley::map("same", [](MoveOnly item) { return item; }),
      [](const MoveOnly& row, const Batch<MoveOnly>& found) {
        REQUIRE(found.size() == static_cast<std::size_t>(row.get()));
        std::vector<MoveOnly> taken;
        for (std::size_t i = 0; i < found.size(); ++i) taken.push_back(found.take(i));
        return MoveOnly(taken.empty() ? -5 : taken.back().get());
      });
  Rows<MoveOnly> rows;
  for (const int n : {4, 0, 2}) rows.push_back(MoveOnly(n));
  const Outcomes<MoveOnly> outcomes = graph.serve_rows(std::move(rows));
  CHECK((*outcomes[0]).get() == 3);
  CHECK((*outcomes[1]).get() == -5);
  CHECK((*outcomes[2]).get() == 1);
}

TEST_CASE("rows are not copied", "[expand]") {
  using support::Counted;
  const auto graph = expand([](const Counted& row) { return Rows<int>{row.value}; },
                            galley::map("plus", [](int n) { return n + 1; }),
                            [](const Counted&, const Batch<int>& found) { return found[0]; });
  const Rows<Counted> rows{Counted(1), Counted(2), Counted(3)};
  Counted::copies = 0;
  const Outcomes<int> outcomes = graph.serve_rows(rows);
  CHECK(*outcomes[2] == 4);
  CHECK(Counted::copies == 0);
}

TEST_CASE("crops of an image are tensors of one batch", "[expand]") {
  using galley::Tensor;
  const auto graph = expand(
      [](const Tensor& image) -> Result<std::vector<Tensor>> {
        GALLEY_TRY(const std::span<const float> pixels, image.span<float>());
        std::vector<Tensor> crops;
        for (std::size_t i = 0; i + 2 <= pixels.size(); i += 2) {
          GALLEY_TRY(Tensor crop, Tensor::from(std::vector<float>{pixels[i], pixels[i + 1]}, {2}));
          crops.push_back(std::move(crop));
        }
        return crops;
      },
      galley::map("sum",
                  [](const Tensor& crop) -> Result<float> {
                    GALLEY_TRY(const std::span<const float> pixels, crop.span<float>());
                    return pixels[0] + pixels[1];
                  }),
      [](const Tensor& image, const Rows<float>& found) {
        return static_cast<float>(image.shape()[0]) * 100 +
               std::accumulate(found.begin(), found.end(), 0.0F);
      });
  Rows<Tensor> images;
  images.push_back(*Tensor::from(std::vector<float>{1, 2, 3, 4}, {4}));
  images.push_back(*Tensor::from(std::vector<float>{5, 6}, {2}));
  images.push_back(*Tensor::from(std::vector<float>{}, {0}));
  const Outcomes<float> outcomes = graph.serve_rows(images);
  CHECK(*outcomes[0] == 410);
  CHECK(*outcomes[1] == 211);
  CHECK(*outcomes[2] == 0);
}

TEST_CASE("an item has its row's request and key", "[expand]") {
  const auto log = std::make_shared<BatchLog>();
  const auto graph = expand(up_to, logged(log), thousands_and_sum);
  const Rows<int> rows{2, 0, 1, 3};
  const std::vector<Context> contexts{{.request_id = 5}, {.request_id = 6}, {.request_id = 7}};
  const std::vector<RequestRun> runs{{&contexts[0], 1}, {&contexts[1], 1}, {&contexts[2], 2}};
  const std::vector<Key> keys{50, 60, 70, 80};
  const Outcomes<int> outcomes = graph.serve_batch(Batch<int>(rows), BatchContext(runs, keys));
  CHECK(outcomes.all_ok());
  REQUIRE(log->batches.size() == 1);
  CHECK(log->requests[0] == std::vector<std::uint64_t>{5, 5, 7, 7, 7, 7});
  CHECK(log->keys[0] == std::vector<Key>{50, 50, 70, 80, 80, 80});
}

TEST_CASE("a request that is over is not split, or not collapsed", "[expand]") {
  support::HandClock clock;
  std::vector<int> split, collapsed;
  std::stop_source stop;
  const auto model = galley::map_batch("model", [&](const Rows<int>& items) {
    stop.request_stop();
    clock.advance(2ms);
    return Rows<int>(items);
  });
  const auto graph = expand(
      [&split](const int& n) {
        split.push_back(n);
        return Rows<int>{n, n};
      },
      model,
      [&collapsed](const int& n, const Rows<int>& found) {
        collapsed.push_back(n);
        return found[1];
      });
  const Rows<int> rows{1, 2, 3, 4};
  const std::vector<Context> contexts{{.deadline = clock.now()},
                                      {.deadline = clock.now() + 1ms},
                                      {.stop = stop.get_token()},
                                      {.deadline = clock.now() + 1h}};
  std::vector<RequestRun> runs;
  for (const Context& context : contexts) runs.push_back({&context, 1});
  const Outcomes<int> outcomes = graph.serve_batch(Batch<int>(rows), BatchContext(runs, {}));
  CHECK(outcomes[0].status() == Status::deadline_exceeded);
  CHECK(outcomes[1].status() == Status::deadline_exceeded);
  CHECK(outcomes[2].status() == Status::cancelled);
  CHECK(*outcomes[3] == 4);
  CHECK(split == std::vector<int>{2, 3, 4});
  CHECK(collapsed == std::vector<int>{4});
}

TEST_CASE("more items than a batch may have go in several batches of whole rows", "[expand]") {
  const ManualExecutor executor;
  for (const bool later : {false, true}) {
    CAPTURE(later);
    const auto log = std::make_shared<BatchLog>();
    const auto model = later ? galley::on(executor, logged(log)) : logged(log);
    const auto graph = expand(up_to, model, thousands_and_sum, {.max_items = 3, .max_batch = 6});
    const Rows<int> rows{3, 1, 3, 0, -1, 2, 2, 1, 4, 3, 0};
    IntEar ear;
    graph.submit_rows(Rows<int>(rows), {}, ear.listen(rows.size()));
    if (later) {
      CHECK(ear.answers == 0);
      executor.run_one();
      CHECK(log->batches.size() == 1);  // one after another
      executor.run_all();
    }
    REQUIRE(ear.answers == 1);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      CAPTURE(i);
      if (rows[i] < 0 || rows[i] > 3) {
        CHECK(ear.status(i) == Status::invalid_argument);
      } else {
        REQUIRE(ear.status(i) == Status::ok);
        CHECK(ear.value(i) == 1000 * rows[i] + 10 * rows[i] * (rows[i] + 1) / 2);
      }
    }
    CHECK(log->sizes() == Sizes{4, 5, 6});
  }
}

TEST_CASE("several batches of one request see one version", "[expand]") {
  const ManualExecutor executor;
  for (const bool later : {false, true}) {
    CAPTURE(later);
    const auto old = galley::map("old", [](int n) { return n; });
    const auto first = later ? galley::on(executor, old) : old;
    auto [live, publisher] = galley::slot("slot", first);
    const auto publish = [&publisher = publisher] {
      return publisher.publish(galley::map("new", [](int) { return 1000; })).has_value();
    };
    bool published = false;
    const auto graph = expand([](const int& n) { return Rows<int>{n}; },
                              galley::map("publishes",
                                          [&](int n) {
                                            if (n == 2 && !published) published = publish();
                                            return n;
                                          }) |
                                  live,
                              [](const int&, const Rows<int>& found) { return found[0]; },
                              {.max_items = 1, .max_batch = 1});
    IntEar ear;
    graph.submit_rows(Rows<int>{1, 2, 3}, {}, ear.listen(3));
    executor.run_all();
    CHECK(published);
    for (std::size_t i = 0; i < 3; ++i) CHECK(ear.value(i) == static_cast<int>(i) + 1);
    CHECK(graph.serve(4) == Result<int>(1000));
  }
}

TEST_CASE("crops of several requests share a batcher's batch, and serve runs it itself",
          "[expand]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph =
      expand(up_to, galley::batched(executor, logged(log), {}, galley::SizeOrDelay{64, 1ms}),
             thousands_and_sum);
  CHECK(graph.serve(3) == Result<int>(3060));  // the model was idle
  CHECK(log->sizes() == Sizes{3});
  IntEar a, b, late;
  graph.submit_rows(Rows<int>{2, 3}, {}, a.listen(2));
  graph.submit_rows(Rows<int>{1, 0}, {}, b.listen(2));
  graph.submit_rows(Rows<int>{5, 0}, {.deadline = executor.now() - 1ns}, late.listen(2));
  CHECK(late.status(0) == Status::deadline_exceeded);
  CHECK(late.status(1) == Status::deadline_exceeded);
  executor.run_all();
  CHECK(a.value(0) == 2030);
  CHECK(a.value(1) == 3060);
  CHECK(b.value(0) == 1010);
  CHECK(b.value(1) == 0);
  CHECK(log->sizes() == Sizes{3, 6});
}

TEST_CASE("without items a submitted request is answered at once", "[expand]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = expand(up_to, galley::on(executor, logged(log)), thousands_and_sum);
  IntEar ear;
  graph.submit_rows(Rows<int>{0, -3, 0}, {}, ear.listen(3));
  CHECK(ear.status(0) == Status::ok);
  CHECK(ear.status(1) == Status::invalid_argument);
  CHECK(executor.pending() == 0);
}

TEST_CASE("expand looks like its neighbours", "[expand]") {
  const auto log = std::make_shared<BatchLog>();
  const auto graph = expand(up_to, logged(log), thousands_and_sum, {.max_items = 8});
  CHECK(graph.name() == "expand(model)");
  const galley::Description d = graph.describe();
  CHECK(d.kind == "expand");
  REQUIRE(d.options.size() == 2);
  CHECK(d.options[0] == std::pair<std::string, std::string>("max_items", "8"));
  CHECK(d.options[1] == std::pair<std::string, std::string>("max_batch", "4096"));
  REQUIRE(d.children.size() == 1);
  CHECK(d.children[0].name == "model");
  CHECK(graph.traits().inline_only);
  CHECK(graph.check().has_value());
  CHECK(graph.prepare().has_value());
  const ManualExecutor executor;
  const auto batched = expand(up_to, galley::batched(executor, logged(log)), thousands_and_sum);
  CHECK_FALSE(batched.traits().inline_only);
  galley::BatchStatistics statistics;
  CHECK(batched.control("batched(model)", statistics).has_value());
  const auto broken = expand(up_to, Servable<int, int>::broken("b", Error(Status::not_found, "no")),
                             thousands_and_sum);
  CHECK(broken.check().error() == Error(Status::not_found, "expand(b): b: no"));
}

TEST_CASE("options that contradict each other are refused", "[expand]") {
  const auto model = galley::map("m", [](int n) { return n; });
  const auto none = expand(up_to, model, thousands_and_sum, {.max_items = 0});
  CHECK(none.check().error() == Error(Status::failed_precondition,
                                      "expand(m): options.max_items: expected at least 1, got 0"));
  const auto narrow = expand(up_to, model, thousands_and_sum, {.max_items = 9, .max_batch = 8});
  CHECK(narrow.check().error() ==
        Error(Status::failed_precondition,
              "expand(m): options.max_batch: expected at least max_items, 9, got 8"));
  CHECK(narrow.serve(1).status() == Status::failed_precondition);
}

TEST_CASE("requests in flight own the graph, and dropped items are cancelled", "[expand]") {
  std::vector<Completion<int>> owed;
  owed.reserve(8);  // an answer asks for more
  const auto alive = std::make_shared<int>(0);
  auto graph = std::make_unique<Servable<int, int>>(
      expand(up_to,
             Servable<int, int>(
                 "kept", [&owed](int, Completion<int> done) { owed.push_back(std::move(done)); }),
             [alive](const int& n, const Rows<int>& found) { return thousands_and_sum(n, found); },
             {.max_items = 2, .max_batch = 2}));
  IntEar kept, dropped;
  graph->submit_rows(Rows<int>{2, 1}, {}, kept.listen(2));
  graph->submit_rows(Rows<int>{1, 2}, {}, dropped.listen(2));
  graph.reset();
  REQUIRE(owed.size() == 3);
  owed[1](1);
  CHECK(kept.answers == 0);
  owed[0](2);
  REQUIRE(owed.size() == 4);
  owed[2] = {};
  REQUIRE(owed.size() == 6);
  owed[4] = {};
  owed[5](7);
  owed[3](9);
  CHECK(kept.value(0) == 2003);
  CHECK(kept.value(1) == 1009);
  CHECK(dropped.status(0) == Status::cancelled);
  CHECK(dropped.status(1) == Status::cancelled);
  owed.clear();
  CHECK(alive.use_count() == 1);
}

TEST_CASE("a shutdown answers every row", "[expand]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = expand(up_to, galley::on(executor, logged(log)), thousands_and_sum,
                            {.max_items = 2, .max_batch = 2});
  IntEar ear;
  graph.submit_rows(Rows<int>{2, 0, 2, 2}, {}, ear.listen(4));
  executor.shutdown();
  CHECK(ear.status(0) == Status::unavailable);
  CHECK(ear.status(1) == Status::ok);
  CHECK(ear.status(3) == Status::unavailable);
}
