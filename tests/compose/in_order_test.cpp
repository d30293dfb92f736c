#include <galley/compose/in_order.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/pipeline.hpp>

#include <support/allocations.hpp>
#include <support/batching.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <numeric>
#include <optional>
#include <stop_token>
#include <vector>

#include <support/catch.hpp>

using galley::BatchCompletion;
using galley::Completion;
using galley::Context;
using galley::Error;
using galley::in_order;
using galley::ManualExecutor;
using galley::Outcomes;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::SizeOrDelay;
using galley::Status;
using support::always_queued;
using support::BatchLog;
using support::logged;
using support::one_by_one;
using namespace std::chrono_literals;

namespace {

/// A child that leaves its answers to the test.
struct Kept {
  std::vector<Completion<int>> owed;

  Servable<int, int> servable() {
    return Servable<int, int>(
        "kept", [this](int, Completion<int> done) { owed.push_back(std::move(done)); });
  }
  void answer(std::size_t i) { owed[i](static_cast<int>(i)); }
};

/// What was delivered, in order.
struct Heard {
  std::vector<int> requests;
  std::vector<Status> statuses;

  Completion<int> listen(int request) {
    return [this, request](const Result<int>& result) { hear(request, result.status()); };
  }
  BatchCompletion<int> listen(int request, std::size_t rows) {
    return BatchCompletion<int>(rows, [this, request](const Outcomes<int>& outcomes) {
      hear(request, outcomes[0].status());
    });
  }
  void hear(int request, Status status) {
    requests.push_back(request);
    statuses.push_back(status);
  }
};

std::vector<int> counting(int n) {
  std::vector<int> all(static_cast<std::size_t>(n));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

}  // namespace

TEST_CASE("an answer that comes early is held until all before it are delivered", "[in_order]") {
  Kept kept;
  const auto graph = in_order(kept.servable());
  Heard heard;
  for (int i = 0; i < 5; ++i) graph.submit(i, {}, heard.listen(i));
  kept.answer(3);
  kept.answer(1);
  CHECK(heard.requests.empty());
  kept.answer(0);
  CHECK(heard.requests == std::vector<int>{0, 1});
  kept.answer(4);
  kept.answer(2);
  CHECK(heard.requests == counting(5));
  graph.submit(5, {}, heard.listen(5));
  kept.answer(5);
  CHECK(heard.requests == counting(6));
}

TEST_CASE("it looks like its neighbours, and its child is found by path", "[in_order]") {
  const ManualExecutor executor;
  const auto graph = in_order(galley::batched(executor, galley::map("m", [](int n) { return n; })));
  CHECK(graph.name() == "in_order(batched(m))");
  CHECK(graph.describe().kind == "in_order");
  REQUIRE(graph.describe().children.size() == 1);
  CHECK(graph.describe().children[0].kind == "batched");
  CHECK(graph.check().has_value());
  CHECK(graph.prepare().has_value());
  CHECK_FALSE(graph.traits().inline_only);
  galley::BatchStatistics statistics;
  CHECK(graph.control("batched(m)", statistics).has_value());
  CHECK(graph.control("", statistics).status() == Status::unimplemented);
  const auto broken = in_order(Servable<int, int>::broken("b", Error(Status::not_found, "no")));
  CHECK(broken.check().error() == Error(Status::not_found, "in_order(b): b: no"));
}

TEST_CASE("a request that fails or is dropped keeps its place", "[in_order]") {
  Kept kept;
  const auto graph = in_order(kept.servable());
  Heard heard;
  for (int i = 0; i < 4; ++i) graph.submit(i, {}, heard.listen(i));
  kept.owed[2](Error(Status::invalid_argument));
  kept.owed[1] = {};
  kept.answer(3);
  CHECK(heard.requests.empty());
  kept.answer(0);
  CHECK(heard.requests == counting(4));
  CHECK(heard.statuses ==
        std::vector<Status>{Status::ok, Status::cancelled, Status::invalid_argument, Status::ok});
}

TEST_CASE("what answers within submit is delivered there, unless one waits before it",
          "[in_order]") {
  std::optional<Completion<int>> first;
  const auto graph = in_order(Servable<int, int>("some", [&](int n, Completion<int> done) {
    if (n == 0) {
      first = std::move(done);
    } else {
      done(n);
    }
  }));
  Heard heard;
  graph.submit(1, {}, heard.listen(1));
  CHECK(heard.requests == std::vector<int>{1});
  graph.submit(0, {}, heard.listen(0));
  graph.submit(2, {}, heard.listen(2));
  CHECK(heard.requests == std::vector<int>{1});
  (*first)(0);
  CHECK(heard.requests == std::vector<int>{1, 0, 2});
}

TEST_CASE("completions never overlap: what is answered within one comes after it", "[in_order]") {
  Kept kept;
  const auto graph = in_order(kept.servable());
  int inside = 0;
  std::vector<int> requests;
  for (int i = 0; i < 4; ++i) {
    graph.submit(i, {}, [&, i](const Result<int>&) {
      CHECK(++inside == 1);
      requests.push_back(i);
      if (i == 0) {  // as other threads would, while this one is slow
        kept.answer(2);
        kept.answer(1);
      }
      --inside;
    });
  }
  kept.answer(0);
  CHECK(requests == std::vector<int>{0, 1, 2});
  kept.answer(3);
  CHECK(requests == counting(4));
}

TEST_CASE("a completion may submit, however often, and is not nested", "[in_order]") {
  const auto graph = in_order(galley::map("same", [](int n) { return n; }));
  constexpr int requests = 100'000;
  int inside = 0, most = 0, next = 0, wrong = 0;
  struct Again {
    const Servable<int, int>* graph;
    int *inside, *most, *next, *wrong;
    void operator()(const Result<int>& result) const {
      *most = std::max(*most, ++*inside);
      if (!(result == Result<int>(*next))) ++*wrong;
      if (++*next < requests) graph->submit(*next, {}, Again(*this));
      --*inside;
    }
  };
  graph.submit(0, {}, Again{&graph, &inside, &most, &next, &wrong});
  CHECK(next == requests);
  CHECK(most == 1);
  CHECK(wrong == 0);
}

TEST_CASE("a batcher of priorities and deadlines completes as it was asked", "[in_order]") {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    CAPTURE(seed);
    const ManualExecutor executor({.seed = seed, .order = galley::TaskOrder::shuffled});
    const auto log = std::make_shared<BatchLog>();
    const auto graph =
        in_order(galley::batched(executor, logged(log), always_queued, SizeOrDelay{.max_rows = 2}));
    Heard heard;
    for (int i = 0; i < 12; ++i) {
      Context context{.priority = i % 3};
      if (i % 4 == 1) context.deadline = executor.now() + 1h * (12 - i);
      if (i % 5 == 2) {  // split
        graph.submit_rows(Rows<int>{i, i, i, i, i}, context, heard.listen(i, 5));
      } else {
        graph.submit(i, context, heard.listen(i));
      }
    }
    executor.run_all();
    CHECK(heard.requests == counting(12));
    CHECK(log->batches.front().front() != 0);  // which the batcher did not
    for (const Status status : heard.statuses) CHECK(status == Status::ok);
  }
}

TEST_CASE("late, stopped and refused requests of a batcher keep their places", "[in_order]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  galley::BatchOptions narrow = always_queued;
  narrow.max_rows = narrow.max_queued_rows = 4;
  const auto graph = in_order(galley::batched(executor, logged(log), narrow, one_by_one));
  Heard heard;
  std::stop_source stop;
  graph.submit(0, {}, heard.listen(0));
  graph.submit(1, {.stop = stop.get_token()}, heard.listen(1));
  graph.submit(2, {.deadline = executor.now() + 1ms}, heard.listen(2));
  graph.submit(3, {}, heard.listen(3));
  graph.submit(4, {}, heard.listen(4));  // one more than may queue
  graph.submit(5, {.deadline = executor.now()}, heard.listen(5));
  stop.request_stop();
  executor.pass(2ms);
  CHECK(heard.requests.empty());
  executor.run_all();
  CHECK(heard.requests == counting(6));
  CHECK(heard.statuses ==
        std::vector<Status>{Status::ok, Status::cancelled, Status::deadline_exceeded, Status::ok,
                            Status::resource_exhausted, Status::resource_exhausted});
}

TEST_CASE("a shutdown's answers come in order", "[in_order]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = in_order(galley::batched(executor, logged(log), always_queued, one_by_one));
  Heard heard;
  log->during = [&](const std::vector<int>&) { executor.shutdown(); };
  for (int i = 0; i < 6; ++i) graph.submit(i, {.priority = i}, heard.listen(i));
  executor.run_all();
  CHECK(heard.requests == counting(6));
  for (const Status status : heard.statuses) CHECK(status == Status::unavailable);
  graph.submit(6, {}, heard.listen(6));
  CHECK(heard.requests == counting(7));
}

TEST_CASE("serve answers its caller, whoever waits for a place", "[in_order]") {
  const ManualExecutor executor;
  const auto graph =
      in_order(galley::batched(executor, galley::map("plus", [](int n) { return n + 1; })));
  Heard heard;
  graph.submit(1, {}, heard.listen(1));
  CHECK(graph.serve(2) == Result<int>(3));
  const Outcomes<int> outcomes = graph.serve_rows(Rows<int>{1, 2, 3});
  CHECK(*outcomes[2] == 4);
  executor.run_ready();
  CHECK(heard.requests == std::vector<int>{1});
}

TEST_CASE("behind an executor, serve gives up at its deadline and its place is left in order",
          "[in_order]") {
  const ManualExecutor executor;
  Kept kept;
  const auto alive = std::make_shared<int>(0);
  auto graph = std::make_unique<Servable<int, int>>(galley::on(
      executor, in_order(kept.servable() | galley::map("last", [alive](int n) { return n; }))));
  Heard heard;
  graph->submit(0, {}, heard.listen(0));
  CHECK(graph->serve(1, {.deadline = executor.now() + 5ms}).status() == Status::deadline_exceeded);
  graph->submit(2, {}, heard.listen(2));
  executor.run_ready();
  graph.reset();
  kept.answer(2);
  kept.answer(1);
  CHECK(heard.requests.empty());
  CHECK(alive.use_count() > 1);
  kept.answer(0);
  CHECK(heard.requests == std::vector<int>{0, 2});
  CHECK(alive.use_count() == 1);
}

TEST_CASE("requests in flight own the node, and the last answer may drop it", "[in_order]") {
  Kept kept;
  const auto alive = std::make_shared<int>(0);
  auto graph = std::make_unique<Servable<int, int>>(
      in_order(kept.servable() | galley::map("last", [alive](int n) { return n; })));
  int answers = 0;
  for (int i = 0; i < 3; ++i) {
    graph->submit(i, {}, [&, i](const Result<int>& result) {
      CHECK(result == Result<int>(answers));
      ++answers;
      if (i == 1) graph.reset();
    });
  }
  kept.answer(2);
  kept.answer(1);
  kept.answer(0);
  CHECK(answers == 3);
  CHECK(alive.use_count() == 1);

  Heard heard;
  in_order(kept.servable()).submit(3, {}, heard.listen(3));
  kept.answer(3);
  CHECK(heard.requests == std::vector<int>{3});
}

TEST_CASE("a request takes nothing from the heap, held or not", "[in_order]") {
  std::vector<Completion<int>> owed;
  owed.reserve(8);
  const auto graph = in_order(Servable<int, int>(
      "kept", [&owed](int, Completion<int> done) { owed.push_back(std::move(done)); }));
  int answers = 0;
  const auto round = [&] {
    for (int i = 0; i < 8; ++i) graph.submit(i, {}, [&answers](const Result<int>&) { ++answers; });
    for (std::size_t i = 8; i-- > 0;) owed[i](1);
    owed.clear();
  };
  round();
  const support::AllocationCount count;
  for (int i = 0; i < 10; ++i) round();
  CHECK(count.so_far() == 0);
  CHECK(answers == 88);
}
