#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/core/pins.hpp>
#include <galley/core/slot.hpp>
#include <galley/testing/manual_executor.hpp>

#include <support/allocations.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::BatchContext;
using galley::Completion;
using galley::Context;
using galley::Error;
using galley::ManualExecutor;
using galley::Outcomes;
using galley::Pins;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::SlotStatus;
using galley::Status;
using galley::VersionId;
using support::AllocationCount;

namespace {

/// Adds its number; the shared pointer tells whether it is alive.
Servable<int, int> adds(int by, std::shared_ptr<int> alive = nullptr) {
  return galley::map("adds", [by, alive](int n) { return n + by; });
}

std::vector<VersionId> kept(const galley::Publisher<int, int>& publisher) {
  return publisher.status().kept;
}

}  // namespace

TEST_CASE("a slot serves its current version", "[slot]") {
  const auto [servable, publisher] = galley::slot("model", adds(1));
  CHECK(servable.name() == "model");
  CHECK(servable.serve(10) == Result<int>(11));
  CHECK(*publisher.publish(adds(2)) == 2);
  CHECK(servable.serve(10) == Result<int>(12));
  CHECK(*servable.serve_rows(Rows<int>{10, 20})[1] == 22);
  int heard = 0;
  servable.submit(10, {}, [&](Result<int> r) { heard = *r; });
  CHECK(heard == 12);
  CHECK(servable.traits().versioned);
  CHECK(servable.traits().inline_only);
  CHECK((servable | adds(1)).traits().versioned);
}

TEST_CASE("versions are numbered in the order of publishing and never reused", "[slot]") {
  const auto [servable, publisher] = galley::slot("model", adds(1), {.keep = 1});
  CHECK(publisher.status().current == 1);
  for (VersionId id = 2; id <= 6; ++id) CHECK(*publisher.publish(adds(0)) == id);
  CHECK(publisher.status().current == 6);
  CHECK(kept(publisher) == std::vector<VersionId>{5, 6});
  CHECK(publisher.rollback() == Result<VersionId>(VersionId{5}));
  CHECK(*publisher.publish(adds(0)) == 7);
}

TEST_CASE("a slot rolls back to the version before, or to a kept one", "[slot]") {
  const auto [servable, publisher] = galley::slot("model", adds(1), {.keep = 3});
  for (int by : {2, 3, 4}) CHECK(publisher.publish(adds(by)).has_value());
  CHECK(*publisher.rollback() == 3);
  CHECK(servable.serve(0) == Result<int>(3));
  CHECK(*publisher.rollback(1) == 1);
  CHECK(servable.serve(0) == Result<int>(1));
  CHECK(*publisher.rollback(4) == 4);
  CHECK(servable.serve(0) == Result<int>(4));
  CHECK(publisher.rollback(9).error() == Error(Status::not_found, "version 9 is not kept"));
  CHECK(publisher.rollback(1).has_value());
  CHECK(publisher.rollback().error() == Error(Status::not_found, "no version before 1 is kept"));
  CHECK(servable.serve(0) == Result<int>(1));
}

TEST_CASE("the current version is kept even when it is the oldest", "[slot]") {
  const auto [servable, publisher] = galley::slot("model", adds(1), {.keep = 1});
  CHECK(publisher.publish(adds(2)).has_value());
  CHECK(*publisher.rollback() == 1);
  CHECK(publisher.publish(adds(3)).has_value());
  CHECK(servable.serve(0) == Result<int>(3));
  CHECK(kept(publisher) == std::vector<VersionId>{2, 3});
}

TEST_CASE("a slot that keeps nothing has its current version only", "[slot]") {
  const auto alive = std::make_shared<int>(0);
  const auto [servable, publisher] = galley::slot("model", adds(1, alive), {.keep = 0});
  CHECK(alive.use_count() == 2);
  CHECK(publisher.publish(adds(2)).has_value());
  CHECK(alive.use_count() == 1);
  CHECK(kept(publisher) == std::vector<VersionId>{2});
  CHECK(publisher.rollback().status() == Status::not_found);
}

TEST_CASE("replaced versions are destroyed by the publisher when they are no longer kept",
          "[slot]") {
  const auto first = std::make_shared<int>(0), second = std::make_shared<int>(0);
  const auto [servable, publisher] = galley::slot("model", adds(1, first), {.keep = 1});
  CHECK(publisher.publish(adds(2, second)).has_value());
  CHECK(first.use_count() == 2);
  CHECK(publisher.publish(adds(3)).has_value());
  CHECK(first.use_count() == 1);
  CHECK(second.use_count() == 2);
  CHECK(publisher.publish(adds(4)).has_value());
  CHECK(second.use_count() == 1);
}

TEST_CASE("a slot refuses a version that promises less or cannot be", "[slot]") {
  const auto [servable, publisher] = galley::slot("model", adds(1));
  const ManualExecutor executor;
  CHECK(publisher.publish(galley::on(executor, adds(2))).status() == Status::failed_precondition);
  for (const galley::NodeTraits& less :
       {galley::NodeTraits{.stateful = true}, galley::NodeTraits{.deterministic = false},
        galley::NodeTraits{.repeatable = false}, galley::NodeTraits{.row_independent = false}}) {
    const Servable next(
        "next", [](int n) { return n; }, less);
    CHECK(publisher.publish(next).status() == Status::failed_precondition);
  }
  const auto broken = Servable<int, int>::broken("bad", Error(Status::not_found, "no file"));
  CHECK(publisher.publish(broken).error() == Error(Status::not_found, "bad: no file"));
  CHECK(publisher.status().current == 1);
  CHECK(servable.serve(1) == Result<int>(2));

  const auto [loose, loose_publisher] = galley::slot("loose", galley::on(executor, adds(1)));
  CHECK(loose_publisher.publish(adds(2)).has_value());
  CHECK(loose.serve(1) == Result<int>(3));
}

TEST_CASE("a slot says what it holds through control and describe", "[slot]") {
  const auto [servable, publisher] = galley::slot("model", adds(1), {.keep = 1});
  CHECK(publisher.publish(adds(2)).has_value());
  const auto graph = adds(5) | servable;
  SlotStatus status;
  CHECK(graph.control("model", status).has_value());
  CHECK(status.current == 2);
  CHECK(status.kept == std::vector<VersionId>{1, 2});
  CHECK(status.retired == 0);
  int other = 0;
  CHECK(graph.control("model", other).status() == Status::unimplemented);
  const galley::Description d = servable.describe();
  CHECK(d.kind == "slot");
  REQUIRE(d.options.size() == 1);
  CHECK(d.options[0] == std::pair<std::string, std::string>("version", "2"));
  REQUIRE(d.children.size() == 1);
  CHECK(d.children[0].name == "adds");
}

TEST_CASE("a request in progress finishes on the version it began with", "[slot]") {
  std::optional<galley::Publisher<int, int>> control;
  const auto alive = std::make_shared<int>(0);
  const Servable first("first", [&control, alive](const Rows<int>& rows) {
    CHECK(control->publish(adds(2)).has_value());
    CHECK(control->publish(adds(3)).has_value());
    CHECK(control->status().retired == 1);
    CHECK(alive.use_count() > 1);
    Rows<int> out;
    for (int n : rows) out.push_back(n + 1);
    return out;
  });
  {
    const auto made = galley::slot("model", first, {.keep = 0});
    control = made.publisher;
    CHECK(*made.servable.serve_rows(Rows<int>{10, 20})[1] == 21);
    CHECK(made.servable.serve(10) == Result<int>(13));
    CHECK(control->status().retired == 0);
  }
  control.reset();
}

// ---- pins --------------------------------------------------------------------------------------

TEST_CASE("pins hold versions and have a stamp that differs with them", "[pins]") {
  std::atomic<std::uint64_t> readers{0};
  int slot_a = 0, slot_b = 0, version = 0;
  const auto pinned = [&](const void* slot, VersionId id) {
    Pins pins;
    ++readers;
    pins.add(slot, &version, id, readers, nullptr);
    return pins;
  };
  {
    const Pins none;
    CHECK(none.empty());
    CHECK(none.find(&slot_a) == nullptr);
    Pins one = pinned(&slot_a, 1);
    CHECK_FALSE(one.empty());
    CHECK(one.find(&slot_a) == &version);
    CHECK(one.find(&slot_b) == nullptr);
    CHECK(one.stamp() == pinned(&slot_a, 1).stamp());
    CHECK(one.stamp() != pinned(&slot_a, 2).stamp());
    CHECK(one.stamp() != none.stamp());
    const Pins moved = std::move(one);
    CHECK(readers == 1);
    Pins ab = pinned(&slot_a, 1), ba = pinned(&slot_a, 2);
    readers += 2;
    ab.add(&slot_b, &version, 2, readers, nullptr);
    ba.add(&slot_b, &version, 1, readers, nullptr);
    CHECK(ab.stamp() != ba.stamp());
  }
  CHECK(readers == 0);
}

TEST_CASE("a pinned request sees one version of each slot across a publish", "[pins]") {
  const auto alive = std::make_shared<int>(0);
  const auto inner = galley::slot("inner", adds(100, alive), {.keep = 0});
  const auto outer = galley::slot("outer", inner.servable, {.keep = 0});
  const auto graph = adds(1) | outer.servable;
  auto pins = std::make_shared<Pins>();
  graph.node().table->pin(graph.node(), *pins);
  const std::shared_ptr<const Pins> shared = pins;
  const Context context;
  const BatchContext plain(context, 1);
  const auto serve = [&](const BatchContext& c) {
    const Rows<int> one{1};
    return *graph.serve_batch(galley::Batch<int>(one), c)[0];
  };
  CHECK(serve(plain.pinned(shared)) == 102);
  CHECK(inner.publisher.publish(adds(200)).has_value());
  CHECK(outer.publisher.publish(adds(300)).has_value());
  CHECK(serve(plain.pinned(shared)) == 102);
  CHECK(serve(plain) == 302);
  CHECK(inner.publisher.status().retired == 1);
  CHECK(outer.publisher.status().retired == 1);
  CHECK(alive.use_count() == 2);
  Pins later;
  graph.node().table->pin(graph.node(), later);
  CHECK(later.stamp() != pins->stamp());
  pins.reset();
  const_cast<std::shared_ptr<const Pins>&>(shared).reset();
  CHECK(outer.publisher.status().retired == 0);
  CHECK(inner.publisher.status().retired == 0);
  CHECK(alive.use_count() == 1);
}

// ---- on workers --------------------------------------------------------------------------------

TEST_CASE("a worker's reader keeps its version until its task ends", "[slot]") {
  const ManualExecutor executor;
  std::optional<galley::Publisher<int, int>> control;
  const auto alive = std::make_shared<int>(0);
  bool was_alive = false;
  Servable<int, int> first("first", [&control, &was_alive, alive](int n) {
    CHECK(control->publish(adds(2)).has_value());
    was_alive = alive.use_count() > 1 && control->status().retired == 1;
    return n + 1;
  });
  const auto made = galley::slot("model", std::move(first), {.keep = 0});
  first = adds(0);
  control = made.publisher;
  const auto graph = galley::on(executor, made.servable);
  CHECK(graph.serve(10) == Result<int>(11));
  CHECK(was_alive);
  CHECK(control->status().retired == 0);
  CHECK(alive.use_count() == 1);
  CHECK(graph.serve(10) == Result<int>(12));
  control.reset();
}

TEST_CASE("tasks that run nested in a worker's read do not let go of its version", "[slot]") {
  const ManualExecutor executor;
  std::optional<galley::Publisher<int, int>> control;
  const auto alive = std::make_shared<int>(0);
  const auto helper = galley::on(executor, adds(0));
  bool was_alive = false;
  Servable<int, int> first("first", [&, alive](int n) {
    CHECK(control->publish(adds(2)).has_value());
    for (int i = 0; i < 3; ++i) CHECK(helper.serve(i) == Result<int>(i));  // runs tasks nested
    CHECK(control->status().retired == 1);
    was_alive = alive.use_count() > 1;
    return n + 1;
  });
  const auto made = galley::slot("model", std::move(first), {.keep = 0});
  first = adds(0);
  control = made.publisher;
  CHECK(galley::on(executor, made.servable).serve(10) == Result<int>(11));
  CHECK(was_alive);
  CHECK(control->status().retired == 0);
  CHECK(alive.use_count() == 1);
  control.reset();
}

TEST_CASE("reading a slot allocates nothing, on a worker and elsewhere", "[slot]") {
  const ManualExecutor executor;
  const auto [servable, publisher] = galley::slot("model", adds(1));
  const auto graph = galley::on(executor, servable);
  CHECK(graph.serve(1).has_value());
  const AllocationCount count;
  for (int i = 0; i < 10; ++i) {
    CHECK(servable.serve(i).has_value());
    CHECK(graph.serve(i).has_value());
  }
  CHECK(count.so_far() == 0);
}

// ---- versions that answer later ----------------------------------------------------------------

TEST_CASE("a version that answers later is kept until it has answered", "[slot]") {
  std::vector<Completion<int>> owed;
  const auto alive = std::make_shared<int>(0);
  auto first = std::make_optional(Servable(
      "later", [&owed, alive](int, Completion<int> done) { owed.push_back(std::move(done)); }));
  const auto [servable, publisher] = galley::slot("model", *first, {.keep = 0});
  first.reset();
  int heard = 0;
  const auto count_up = [&](Result<int> r) { heard += *r; };
  servable.submit(1, {}, count_up);
  CHECK(publisher.publish(Servable("now", [](int n) { return n + 2; })).has_value());
  servable.submit(1, {}, count_up);
  CHECK(heard == 3);
  CHECK(publisher.status().retired == 1);
  CHECK(alive.use_count() == 2);
  owed[0](10);
  owed.clear();
  CHECK(heard == 13);
  CHECK(publisher.status().retired == 0);
  CHECK(alive.use_count() == 1);
}

TEST_CASE("a version that answers inside submit is destroyed by the publisher all the same",
          "[slot]") {
  std::optional<galley::Publisher<int, int>> control;
  const auto alive = std::make_shared<int>(0);
  auto first =
      std::make_optional(Servable("later", [alive](int n, Completion<int> done) { done(n + 1); }));
  const auto made = galley::slot("model", *first, {.keep = 0});
  first.reset();
  control = made.publisher;
  int heard = 0;
  made.servable.submit(1, {}, [&](Result<int> r) {
    heard = *r;
    CHECK(control->publish(adds(5)).has_value());
  });
  CHECK(heard == 2);
  CHECK(alive.use_count() ==
        2);  // submit still was within the version: not destroyed behind its back
  CHECK(control->status().retired == 0);
  CHECK(alive.use_count() == 1);
}

TEST_CASE("a slot may be dropped while a version still owes an answer", "[slot]") {
  const ManualExecutor executor;
  Result<int> heard = Error();
  {
    const auto made = galley::slot("model", galley::on(executor, adds(1)), {.keep = 0});
    const auto graph = adds(1) | made.servable;
    graph.submit(1, {}, [&](Result<int> r) { heard = std::move(r); });
    CHECK(made.publisher.publish(galley::on(executor, adds(7))).has_value());
  }
  executor.run_ready();
  CHECK(heard == Result<int>(3));
}

TEST_CASE("versions of different depth each use their own frames", "[slot]") {
  const ManualExecutor executor;
  const auto stage = [&](int by) { return galley::on(executor, adds(by)); };
  const auto [servable, publisher] = galley::slot("model", stage(1));
  CHECK(servable.serve(0) == Result<int>(1));
  CHECK(publisher.publish(stage(1) | stage(2) | stage(3) | stage(4)).has_value());
  Result<int> heard = Error();
  servable.submit(0, {}, [&](Result<int> r) { heard = std::move(r); });
  executor.run_ready();
  CHECK(heard == Result<int>(10));
  CHECK(servable.serve(0) == Result<int>(10));
  const AllocationCount count;
  servable.submit(0, {}, [&](Result<int> r) { heard = std::move(r); });
  executor.run_ready();
  CHECK(count.so_far() == 0);
}
