// The handle: calling, describing, checking, preparing, controlling.
#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/core/future.hpp>
#include <galley/core/servable.hpp>
#include <galley/testing/manual_executor.hpp>

#include <support/allocations.hpp>
#include <support/rows.hpp>

#include <memory>
#include <memory_resource>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::BatchCompletion;
using galley::BatchContext;
using galley::CallOptions;
using galley::Completion;
using galley::Context;
using galley::Description;
using galley::Error;
using galley::Key;
using galley::ManualExecutor;
using galley::Outcomes;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::Status;
using support::AllocationCount;
using support::MoveOnly;

namespace {

Servable<int, int> plus(int by) {
  return galley::map("plus", [by](int n) { return n + by; });
}

/// Says how many rows have which key.
Servable<int, std::uint64_t> key_of_row() {
  return {"keys", [](const Rows<int>& rows, const BatchContext& context) {
            Rows<std::uint64_t> keys;
            for (std::size_t i = 0; i < rows.size(); ++i) {
              keys.push_back(context.keys().empty() ? 0 : context.keys()[i]);
            }
            return keys;
          }};
}

struct Depth {
  int value = 0;
};

Servable<int, int> deep(std::string name, int depth) {
  struct Author {
    int depth;
    int serve(int n) const { return n; }
    Result<void> control(galley::ControlRequest& request) const {
      if (auto* asked = request.as<Depth>()) {
        asked->value = depth;
        return {};
      }
      return Error(Status::unimplemented, "only Depth");
    }
  };
  return {std::move(name), Author{depth}};
}

std::vector<std::string> names(const Description& d) {
  std::vector<std::string> all;
  for (const Description& child : d.children) all.push_back(child.name);
  return all;
}

}  // namespace

TEST_CASE("a row is served by copy, by move or in a batch", "[servable]") {
  const auto servable = plus(1);
  const int row = 4;
  CHECK(servable.serve(row) == Result<int>(5));
  CHECK(servable.serve(6) == Result<int>(7));
  const Outcomes<int> outcomes = servable.serve_rows(Rows<int>{1, 2});
  CHECK(*outcomes[0] == 2);
  CHECK(*outcomes[1] == 3);
  CHECK(Servable("id", [](MoveOnly m) { return m; }).serve(MoveOnly(3))->get() == 3);
}

TEST_CASE("no rows give no outcomes and reach nobody", "[servable]") {
  int calls = 0;
  const Servable counting("counting", [&calls](const Rows<int>& rows) {
    ++calls;
    return rows;
  });
  const ManualExecutor executor;
  for (const auto& servable : {counting, counting | counting, galley::on(executor, counting)}) {
    CHECK(servable.serve_rows(Rows<int>()).empty());
    bool answered = false;
    servable.submit_rows(Rows<int>(), {}, BatchCompletion<int>(0, [&](Outcomes<int> outcomes) {
                           answered = true;
                           CHECK(outcomes.empty());
                         }));
    CHECK(answered);
  }
  CHECK(calls == 0);
  CHECK(executor.pending() == 0);
}

TEST_CASE("keys lie beside the rows, one for each or none", "[servable]") {
  const auto servable = key_of_row();
  const std::vector<Key> keys{7, 8};
  const Outcomes<std::uint64_t> keyed =
      servable.serve_rows(Rows<int>{1, 2}, {}, CallOptions{.keys = keys});
  CHECK(*keyed[0] == 7);
  CHECK(*keyed[1] == 8);
  CHECK(servable.serve(1) == Result<std::uint64_t>(std::uint64_t{0}));

  const auto wrong = servable.serve(1, {}, CallOptions{.keys = keys});
  CHECK(wrong.error() == Error(Status::invalid_argument, "keys: got 2 keys for 1 rows"));
  const Outcomes<std::uint64_t> both =
      servable.serve_rows(Rows<int>{1, 2, 3}, {}, CallOptions{.keys = keys});
  REQUIRE(both.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) CHECK(both[i].status() == Status::invalid_argument);
  Status submitted = Status::ok;
  servable.submit(1, {}, [&](Result<std::uint64_t> r) { submitted = r.status(); }, {.keys = keys});
  CHECK(submitted == Status::invalid_argument);
}

TEST_CASE("keys follow their rows through a pipeline, now and later", "[servable]") {
  const ManualExecutor executor;
  const auto odd_fails = galley::map("odd", [](int n) -> Result<int> {
    if (n % 2 == 1) return Error(Status::invalid_argument, "odd");
    return n;
  });
  const std::vector<Key> keys{5, 6, 7, 8};
  for (const auto& servable :
       {odd_fails | key_of_row(), odd_fails | galley::on(executor, key_of_row()),
        galley::on(executor, odd_fails) | key_of_row()}) {
    const Outcomes<std::uint64_t> outcomes =
        servable.serve_rows(Rows<int>{1, 2, 3, 4}, {}, {.keys = keys});
    CHECK(outcomes[0].status() == Status::invalid_argument);
    CHECK(*outcomes[1] == 6);
    CHECK(outcomes[2].status() == Status::invalid_argument);
    CHECK(*outcomes[3] == 8);
  }
}

TEST_CASE("submit on a graph that waits for nobody answers before it returns", "[servable]") {
  const auto servable = plus(1) | plus(2) | plus(3);
  Result<int> heard = Error();
  servable.submit(1, {}, [&](Result<int> r) { heard = std::move(r); });
  CHECK(heard == Result<int>(7));
}

TEST_CASE("a three-stage inline pipeline allocates nothing for a row", "[servable]") {
  const auto servable = plus(1) | plus(2) | plus(3);
  int heard = 0;
  const AllocationCount count;
  for (int i = 0; i < 10; ++i) {
    heard += servable.serve(i).value_or(-1);
    servable.submit(i, {}, [&heard](Result<int> r) { heard += *r; });
  }
  CHECK(count.so_far() == 0);
  CHECK(heard == 2 * (45 + 60));
}

TEST_CASE("with lent memory a batch takes nothing from the heap", "[servable]") {
  const auto doubled = [](const Rows<int>& rows, const BatchContext& context) {
    Rows<int> out(rows.size(), context.workspace());
    for (int n : rows) out.push_back(2 * n);
    return out;
  };
  const auto servable = plus(1) | galley::map_batch("double", doubled) | plus(3);
  const Rows<int> rows{1, 2, 3, 4};
  std::byte buffer[4096];
  std::pmr::monotonic_buffer_resource arena(buffer, sizeof buffer,
                                            std::pmr::null_memory_resource());
  const AllocationCount count;
  const Outcomes<int> outcomes = servable.serve_rows(rows, {}, {.workspace = &arena});
  CHECK(count.so_far() == 0);
  CHECK(*outcomes[3] == 13);
}

TEST_CASE("lent memory stays with the caller when rows go to an executor", "[servable]") {
  std::byte buffer[4096];
  std::pmr::monotonic_buffer_resource arena(buffer, sizeof buffer,
                                            std::pmr::null_memory_resource());
  const ManualExecutor executor;
  const auto within = [&](const void* at) { return at >= buffer && at < buffer + sizeof buffer; };
  bool lent = false;
  const auto servable =
      plus(1) | galley::on(executor, galley::map_batch("look", [&](const Rows<int>& rows) {
                             lent = lent || within(rows.data());
                             return rows;
                           }));
  Rows<int> rows(3, &arena);
  for (int i = 0; i < 3; ++i) rows.push_back(i);
  CHECK(servable.serve_rows(rows, {}, {.workspace = &arena}).all_ok());
  CHECK(galley::on(executor, servable).serve_rows(rows).all_ok());
  CHECK(galley::on(executor, servable).serve_rows(std::move(rows)).all_ok());
  CHECK_FALSE(lent);
}

TEST_CASE("three asynchronous stages allocate nothing once warm", "[servable]") {
  const ManualExecutor executor;
  const auto stage = [&](int by) { return galley::on(executor, plus(by)); };
  const auto servable = stage(1) | stage(2) | stage(3);
  int heard = 0;
  const auto go = [&] {
    servable.submit(1, {}, [&heard](Result<int> r) { heard += *r; });
    executor.run_ready();
    heard += servable.serve(2).value_or(-1);
  };
  go();
  const AllocationCount count;
  for (int i = 0; i < 10; ++i) go();
  CHECK(count.so_far() == 0);
  CHECK(heard == 11 * (7 + 8));
}

TEST_CASE("too many requests in flight are refused, and the rest are answered", "[servable]") {
  std::vector<Completion<int>> kept;
  const Servable slow("slow", [&](int, Completion<int> done) { kept.push_back(std::move(done)); });
  const std::size_t bound = slow.node().frames.bound();
  std::size_t refused = 0, answered = 0;
  for (std::size_t i = 0; i <= bound; ++i) {
    slow.submit(0, {}, [&](Result<int> r) {
      ++(r.status() == Status::resource_exhausted ? refused : answered);
    });
  }
  CHECK(refused == 1);
  CHECK(slow.serve(1).status() == Status::resource_exhausted);
  for (auto& done : kept) done(1);
  CHECK(answered == bound);
  slow.submit(0, {}, [&](Result<int> r) { answered += r.has_value() ? 1 : 0; });
  kept.back()(1);
  CHECK(answered == bound + 1);
}

// ---- about it ----------------------------------------------------------------------------------

TEST_CASE("a pipeline shows its stages, however it was bracketed", "[servable]") {
  const auto a = deep("a", 1), b = deep("b", 2), c = deep("c", 3), d = deep("d", 4);
  for (const auto& servable : {((a | b) | c) | d, a | (b | (c | d)), (a | b) | (c | d)}) {
    const Description description = servable.describe();
    CHECK(description.kind == "pipeline");
    CHECK(description.name == "a | b | c | d");
    CHECK(description.input == "int");
    CHECK(names(description) == std::vector<std::string>{"a", "b", "c", "d"});
  }
  const ManualExecutor executor;
  const Description on = galley::on(executor, a | b).describe();
  CHECK(on.kind == "on");
  CHECK_FALSE(on.traits.inline_only);
  REQUIRE(on.children.size() == 1);
  CHECK(names(on.children[0]) == std::vector<std::string>{"a", "b"});
}

TEST_CASE("a composition that cannot be says so, and answers every row with it", "[servable]") {
  const auto broken = Servable<int, int>::broken("model", Error(Status::failed_precondition, "no"));
  CHECK(broken.check().error() == Error(Status::failed_precondition, "model: no"));
  CHECK(broken.serve(1).status() == Status::failed_precondition);
  CHECK(broken.serve_rows(Rows<int>{1, 2})[1].error().detail == "no");
  CHECK(broken.prepare().status() == Status::failed_precondition);
  CHECK(broken.describe().kind == "broken");

  const ManualExecutor executor;
  const auto graph = plus(1) | galley::on(executor, plus(2) | broken);
  CHECK(graph.check().status() == Status::failed_precondition);
  CHECK(graph.check().error().detail ==
        "plus | on(plus | model): on(plus | model): plus | model: model: no");
  CHECK(graph.prepare().status() == Status::failed_precondition);
  CHECK(graph.serve(1).status() == Status::failed_precondition);
  CHECK((plus(1) | plus(2)).check().has_value());
}

TEST_CASE("a node is asked by its path", "[servable]") {
  const ManualExecutor executor;
  const auto graph = deep("a", 1) | galley::on(executor, deep("b", 2) | deep("c", 3));
  Depth depth;
  CHECK(graph.control("a", depth).has_value());
  CHECK(depth.value == 1);
  CHECK(graph.control("on(b | c)/b | c/c", depth).has_value());
  CHECK(depth.value == 3);
  CHECK(graph.control("", depth).status() == Status::unimplemented);
  CHECK(graph.control("on(b | c)", depth).status() == Status::unimplemented);
  CHECK(graph.control("z", depth).error() ==
        Error(Status::not_found, "\"a | on(b | c)\" has no node at \"z\""));
  CHECK(graph.control("a/z", depth).status() == Status::not_found);
  int other = 0;
  CHECK(graph.control("a", other).status() == Status::unimplemented);
}

TEST_CASE("prepare reaches every node, those behind an executor on its workers", "[servable]") {
  struct Author {
    std::vector<const galley::Worker*>* seen;
    int serve(int n) const { return n; }
    Result<void> prepare(const galley::PrepareScope& scope) const {
      return scope.each_worker([&]() -> Result<void> {
        seen->push_back(galley::Worker::current());
        return {};
      });
    }
  };
  std::vector<const galley::Worker*> seen;
  const ManualExecutor executor, other;
  const auto graph =
      Servable("a", Author{&seen}) | galley::on(executor, Servable("b", Author{&seen}));
  CHECK(graph.prepare().has_value());
  REQUIRE(seen.size() == 2);
  CHECK(seen[0] == nullptr);
  CHECK(seen[1] != nullptr);
  seen.clear();
  CHECK(graph.prepare(other).has_value());
  REQUIRE(seen.size() == 2);
  CHECK(seen[0] != nullptr);
  CHECK(seen[0] != seen[1]);
}

TEST_CASE("the first error of prepare is told", "[servable]") {
  struct Author {
    int serve(int n) const { return n; }
    Result<void> prepare(const galley::PrepareScope&) const {
      return Error(Status::not_found, "weights");
    }
  };
  CHECK((plus(1) | Servable("b", Author{})).prepare().error().detail.find("weights") !=
        std::string::npos);
}

// ---- futures -----------------------------------------------------------------------------------

TEST_CASE("a future holds the answer, values and errors alike", "[future]") {
  const ManualExecutor executor;
  const auto fails = galley::map("fails", [](int n) -> Result<int> {
    if (n < 0) return Error(Status::invalid_argument, "negative");
    return n;
  });
  for (const auto& servable : {fails, galley::on(executor, fails)}) {
    auto good = galley::submit_future(servable, 3);
    auto bad = galley::submit_future(servable, -3);
    auto many = galley::submit_rows_future(servable, {1, -1});
    executor.run_ready();
    CHECK(good.get() == Result<int>(3));
    CHECK(bad.get().error() == Error(Status::invalid_argument, "fails: negative"));
    const Outcomes<int> outcomes = many.get();
    CHECK(*outcomes[0] == 1);
    CHECK(outcomes[1].status() == Status::invalid_argument);
  }
  const auto text = galley::map("size", [](const std::string& s) { return s.size(); });
  CHECK(galley::submit_future(text, "four").get() == Result<std::size_t>(std::size_t{4}));
}

TEST_CASE("the future of a dropped request says cancelled instead of throwing", "[future]") {
  const Servable drops("drops", [](int, Completion<int>) {});
  CHECK(galley::submit_future(drops, 1).get().status() == Status::cancelled);
}
