// The forms an author may write, and what their failures become.
#include <galley/compose/map.hpp>
#include <galley/core/servable.hpp>

#include <support/clock.hpp>
#include <support/rows.hpp>

#include <chrono>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::Batch;
using galley::BatchCompletion;
using galley::BatchContext;
using galley::Casualties;
using galley::Completion;
using galley::Context;
using galley::Error;
using galley::NodeTraits;
using galley::Outcomes;
using galley::RequestRun;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::Status;
using support::Counted;
using support::HandClock;
using support::MoveOnly;
using namespace std::chrono_literals;

namespace {

/// Every form of the same servable: twice the number, and an error for 13.
Result<double> twice(int n) {
  if (n == 13) return Error(Status::invalid_argument, "13");
  return 2.0 * n;
}

Outcomes<double> twice_all(const Batch<int>& batch) {
  Outcomes<double> outcomes;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    Result<double> one = twice(batch[i]);
    if (one.has_value()) {
      outcomes.survivors().push_back(*one);
    } else {
      outcomes.casualties().append(i, one.error());
    }
  }
  return outcomes;
}

struct RowStruct {
  Result<double> serve(const int& n) const { return twice(n); }
};
struct RowStructWithContext {
  Result<double> serve(int n, const Context&) const { return twice(n); }
};
struct BatchStruct {
  Outcomes<double> serve(const Rows<int>& rows, const BatchContext& context) const {
    if (context.rows() != rows.size()) return {};
    return twice_all(rows);
  }
};
struct RowLaterStruct {
  void submit(int n, const Context&, Completion<double> done) const { done(twice(n)); }
};
struct BatchLaterStruct {
  void submit(Rows<int> rows, const BatchContext& context, BatchCompletion<double> done) const {
    if (context.rows() == rows.size()) done(twice_all(rows));
  }
};

Result<double> free_function(int n) {
  return twice(n);
}
void free_later(int n, Completion<double> done) {
  done(twice(n));
}

using Form = std::pair<std::string, Servable<int, double>>;

std::vector<Form> forms() {
  std::vector<Form> all;
  const auto add = [&](const char* what, Servable<int, double> s) { all.emplace_back(what, s); };
  add("row lambda", Servable("s", [](int n) { return twice(n); }));
  add("row lambda by reference", Servable("s", [](const int& n) { return twice(n); }));
  add("row lambda by rvalue", Servable("s", [](int&& n) { return twice(n); }));
  add("row lambda with context", Servable("s", [](int n, const Context&) { return twice(n); }));
  add("free function", Servable("s", free_function));
  add("pointer to function", Servable("s", &free_function));
  add("row struct", Servable("s", RowStruct{}));
  add("row struct with context", Servable("s", RowStructWithContext{}));
  add("noexcept lambda", Servable("s", [](int n) noexcept { return twice(n); }));
  add("batch outcomes", Servable("s", [](const Rows<int>& rows) { return twice_all(rows); }));
  add("batch view", Servable("s", [](const Batch<int>& rows) { return twice_all(rows); }));
  add("batch view by value", Servable("s", [](Batch<int> rows) { return twice_all(rows); }));
  add("batch owned", Servable("s", [](Rows<int> rows) { return twice_all(rows); }));
  add("batch with context", Servable("s", [](const Batch<int>& rows, const BatchContext& c) {
        return c.rows() == rows.size() ? twice_all(rows) : Outcomes<double>();
      }));
  add("batch result", Servable("s", [](const Rows<int>& rows) -> Result<Outcomes<double>> {
        return twice_all(rows);
      }));
  add("batch rows, failing as one",
      Servable("s", [](const Rows<int>& rows) -> Result<Rows<double>> {
        Outcomes<double> answers = twice_all(rows);
        if (!answers.all_ok()) return answers.casualties().span()[0].error;
        return std::move(answers).survivors();
      }));
  add("batch struct", Servable("s", BatchStruct{}));
  add("row later", Servable("s", [](int n, Completion<double> done) { done(twice(n)); }));
  add("row later with context",
      Servable("s", [](int n, const Context&, Completion<double> done) { done(twice(n)); }));
  add("row later free function", Servable("s", free_later));
  add("row later struct", Servable("s", RowLaterStruct{}));
  add("batch later",
      Servable("s", [](Rows<int> rows, BatchCompletion<double> done) { done(twice_all(rows)); }));
  add("batch later struct", Servable("s", BatchLaterStruct{}));
  return all;
}

void check_rows(const Outcomes<double>& outcomes) {
  REQUIRE(outcomes.size() == 4);
  CHECK(*outcomes[0] == 2);
  CHECK(outcomes[1].status() == Status::invalid_argument);
  CHECK(outcomes[1].error().detail == "s: 13");
  CHECK(*outcomes[2] == 6);
  CHECK(*outcomes[3] == 8);
}

}  // namespace

TEST_CASE("every form an author may write answers one row and many, now and later", "[author]") {
  const Rows<int> rows{1, 13, 3, 4};
  for (const auto& [what, servable] : forms()) {
    CAPTURE(what);
    CHECK(servable.serve(21) == Result<double>(42.0));
    CHECK(servable.serve(13).error() == Error(Status::invalid_argument, "s: 13"));
    check_rows(servable.serve_rows(rows));
    check_rows(servable.serve_rows(rows.span()));
    check_rows(servable.serve_rows(Rows<int>(rows)));
    int answers = 0;
    servable.submit(21, {}, [&](Result<double> r) {
      ++answers;
      CHECK(r == Result<double>(42.0));
    });
    servable.submit_rows(rows, {}, BatchCompletion<double>(4, [&](Outcomes<double> outcomes) {
                           ++answers;
                           check_rows(outcomes);
                         }));
    CHECK(answers == 2);
    CHECK(servable.serve_rows(Rows<int>()).empty());
  }
}

TEST_CASE("a struct says more of itself where it wants to", "[author]") {
  struct Rich {
    int serve(int n) const { return n; }
    NodeTraits traits() const { return {.stateful = true, .repeatable = false}; }
    void describe(galley::Description& d) const { d.options.emplace_back("depth", "3"); }
    Result<void> prepare(const galley::PrepareScope& scope) const {
      return scope.each_worker([&]() -> Result<void> {
        ++*prepared;
        return {};
      });
    }
    Result<void> control(galley::ControlRequest& request) const {
      if (int* depth = request.as<int>()) {
        *depth = 3;
        return {};
      }
      return Error(Status::unimplemented, "only int");
    }
    std::shared_ptr<int> prepared = std::make_shared<int>(0);
  };
  const Rich rich;
  const Servable servable("rich", rich);
  CHECK(servable.traits().stateful);
  CHECK_FALSE(servable.traits().repeatable);
  const galley::Description d = servable.describe();
  CHECK(d.kind == "map");
  CHECK(d.name == "rich");
  CHECK(d.input == "int");
  CHECK(d.output == "int");
  REQUIRE(d.options.size() == 1);
  CHECK(d.options[0].second == "3");
  CHECK(servable.prepare().has_value());
  CHECK(*rich.prepared == 1);
  int depth = 0;
  CHECK(servable.control("", depth).has_value());
  CHECK(depth == 3);
  long other = 0;
  CHECK(servable.control("", other).status() == Status::unimplemented);
}

TEST_CASE("traits may be stated with a function", "[author]") {
  const Servable servable("s", [](int n) { return n; }, {.deterministic = false});
  CHECK_FALSE(servable.traits().deterministic);
  const auto mapped = galley::map("m", [](int n) { return n; }, {.stateful = true});
  CHECK(mapped.traits().stateful);
}

// ---- what fails --------------------------------------------------------------------------------

TEST_CASE("a stage that throws fails the row that it threw for, with its name", "[author]") {
  const Servable servable("risky", [](int n) -> int {
    if (n == 1) throw std::runtime_error("boom");
    if (n == 2) throw 42;
    if (n == 3) throw std::bad_alloc();
    return n;
  });
  const Outcomes<int> outcomes = servable.serve_rows(Rows<int>{0, 1, 2, 3, 4});
  CHECK(*outcomes[0] == 0);
  CHECK(outcomes[1].error() == Error(Status::internal, "risky: threw: boom"));
  CHECK(outcomes[2].error() ==
        Error(Status::internal, "risky: threw something that is not a std::exception"));
  CHECK(outcomes[3].error() == Error(Status::resource_exhausted, "risky: out of memory"));
  CHECK(*outcomes[4] == 4);
}

TEST_CASE("a whole-batch stage that throws fails the guilty rows only", "[author]") {
  int calls = 0;
  const auto throws_for_13 = [&calls](const Rows<int>& rows) -> Rows<int> {
    ++calls;
    for (int n : rows) {
      if (n == 13) throw std::runtime_error("13 in the batch");
    }
    return rows;
  };
  const Servable servable("kernel", throws_for_13);
  const Outcomes<int> outcomes = servable.serve_rows(Rows<int>{1, 2, 13, 4, 5, 6, 7, 8});
  REQUIRE(outcomes.size() == 8);
  CHECK(outcomes[2].error() == Error(Status::internal, "kernel: threw: 13 in the batch"));
  for (std::size_t i : {0u, 1u, 3u, 4u, 5u, 6u, 7u}) CHECK(outcomes[i].has_value());
  CHECK(calls <= 4 * 3 + 8);

  calls = 0;
  const Servable once("kernel", throws_for_13, {.repeatable = false});
  const Outcomes<int> all = once.serve_rows(Rows<int>{1, 2, 13, 4});
  CHECK(calls == 1);
  for (std::size_t i = 0; i < 4; ++i) CHECK(all[i].status() == Status::internal);
}

TEST_CASE("a whole-batch stage that runs out of memory is not asked again", "[author]") {
  int calls = 0;
  const Servable servable("kernel", [&calls](const Rows<int>&) -> Rows<int> {
    ++calls;
    throw std::bad_alloc();
  });
  const Outcomes<int> outcomes = servable.serve_rows(Rows<int>{1, 2, 3});
  CHECK(calls == 1);
  for (std::size_t i = 0; i < 3; ++i) CHECK(outcomes[i].status() == Status::resource_exhausted);
}

TEST_CASE("a stage that miscounts its rows answers internal", "[author]") {
  const Servable drops("drops", [](const Rows<int>& rows) {
    Rows<int> some;
    for (int n : rows) {
      if (n != 13) some.push_back(n);
    }
    return some;
  });
  CHECK(drops.serve(13).error() == Error(Status::internal, "drops: answered 0 rows, expected 1"));
  const Outcomes<int> outcomes = drops.serve_rows(Rows<int>{1, 13, 3});
  CHECK(outcomes[0].has_value());
  CHECK(outcomes[1].status() == Status::internal);
  CHECK(outcomes[2].has_value());

  const Servable beyond("beyond", [](const Rows<int>&) {
    Casualties casualties;
    casualties.append(7, Error(Status::not_found));
    return Outcomes<int>(Rows<int>(), std::move(casualties));
  });
  CHECK(beyond.serve(1).status() == Status::internal);

  const Servable later("later", [](Rows<int> rows, BatchCompletion<int> done) {
    rows.push_back(0);
    done(Outcomes<int>(std::move(rows)));
  });
  CHECK(later.serve(1).error() == Error(Status::internal, "later: answered 2 rows, expected 1"));
}

TEST_CASE("a stage that drops, throws or answers twice later answers each row once", "[author]") {
  const auto moody = [](int n, Completion<int> done) {
    if (n == 1) return;
    if (n == 2) throw std::runtime_error("boom");
    if (n == 4) done(Error(Status::not_found, "4"));
    done(n);
    done(n + 1);
  };
  const Servable rowwise("moody", moody);
  const Outcomes<int> outcomes = rowwise.serve_rows(Rows<int>{0, 1, 2, 3, 4});
  CHECK(*outcomes[0] == 0);
  CHECK(outcomes[1].status() == Status::cancelled);
  CHECK(outcomes[2].status() == Status::internal);
  CHECK(*outcomes[3] == 3);
  CHECK(outcomes[4].error() == Error(Status::not_found, "moody: 4"));
  for (std::size_t i : {1u, 2u}) CHECK(outcomes[i].error().detail.find("moody: ") == 0);

  const Servable batchwise("moody", [](Rows<int> rows, BatchCompletion<int> done) {
    if (rows[0] == 1) return;
    if (rows[0] == 2) throw std::runtime_error("boom");
    done(Outcomes<int>(rows));
    done(Outcomes<int>(rows));
  });
  CHECK(*batchwise.serve(0) == 0);
  CHECK(batchwise.serve(1).status() == Status::cancelled);
  CHECK(batchwise.serve(2).status() == Status::internal);
  CHECK(batchwise.serve(2).error().detail.find("moody: ") == 0);
}

namespace {

/// A row that cannot be copied when it is 13.
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

TEST_CASE("a row whose copy throws does not throw out of a servable", "[author]") {
  const Fragile bad(13);
  const Fragile good(1);
  const Servable by_value("copies", [](Fragile row) { return row.value; });
  CHECK(by_value.serve(bad).status() == Status::internal);
  CHECK(*by_value.serve(good) == 1);
  const Servable later("copies", [](Fragile row, Completion<int> done) { done(row.value); });
  CHECK(later.serve(bad).status() == Status::internal);
  CHECK(*later.serve(good) == 1);
}

// ---- what reaches the author -------------------------------------------------------------------

TEST_CASE("rows are copied only where the author takes them by value from a lender", "[author]") {
  const Servable reads("reads", [](const Counted& row) { return row.value; });
  const Servable takes("takes", [](Counted row) { return row.value; });
  const Counted row(5);
  Counted::copies = 0;
  CHECK(*reads.serve(row) == 5);
  CHECK(*reads.serve(Counted(6)) == 6);
  CHECK(*takes.serve(Counted(7)) == 7);
  CHECK(Counted::copies == 0);
  CHECK(*takes.serve(row) == 5);
  CHECK(Counted::copies == 1);

  Rows<Counted> rows(3);
  for (int i = 0; i < 3; ++i) rows.push_back(Counted(i));
  const Servable all("all", [](const Rows<Counted>& batch) {
    Rows<int> values;
    for (const Counted& c : batch) values.push_back(c.value);
    return values;
  });
  Counted::copies = 0;
  CHECK(all.serve_rows(rows).all_ok());
  CHECK(all.serve_rows(std::move(rows)).all_ok());
  CHECK(Counted::copies == 0);
}

TEST_CASE("rows that can only be moved go through every form", "[author]") {
  const auto rows = [] {
    Rows<MoveOnly> two;
    two.push_back(MoveOnly(1));
    two.push_back(MoveOnly(2));
    return two;
  };
  const Servable take("take", [](MoveOnly row) { return row; });
  const Servable look("look", [](const MoveOnly& row) { return row.get(); });
  const Servable batch("batch", [](Rows<MoveOnly> all) { return all; });
  const Servable later("later", [](MoveOnly row, Completion<int> done) { done(row.get()); });
  CHECK(take.serve(MoveOnly(3))->get() == 3);
  CHECK((*take.serve_rows(rows())[1]).get() == 2);
  CHECK(*look.serve(MoveOnly(3)) == 3);
  CHECK((*batch.serve_rows(rows())[1]).get() == 2);
  CHECK(*later.serve_rows(rows())[1] == 2);
}

TEST_CASE("each row of a merged batch is served with its own context", "[author]") {
  const Context a{.request_id = 1}, b{.request_id = 2};
  const std::vector<RequestRun> runs{{&a, 2}, {&b, 0}, {&b, 1}};
  const BatchContext merged(runs, {});
  const Rows<int> rows{10, 20, 30};
  const auto expected = [](const Outcomes<int>& o) {
    return o.size() == 3 && *o[0] == 11 && *o[1] == 21 && *o[2] == 32;
  };
  const Servable now("now",
                     [](int n, const Context& c) { return n + static_cast<int>(c.request_id); });
  CHECK(expected(now.serve_batch(Batch<int>(rows), merged)));
  const Servable later("later", [](int n, const Context& c, Completion<int> done) {
    done(n + static_cast<int>(c.request_id));
  });
  CHECK(expected(later.serve_batch(Batch<int>(rows), merged)));
}

TEST_CASE("expired rows of a merged batch reach no author, in any form", "[author]") {
  HandClock clock;
  const Context soon{.deadline = clock.now() + 1ms};
  const Context open{.deadline = clock.now() + 9ms};
  clock.advance(2ms);
  const std::vector<RequestRun> runs{{&soon, 1}, {&open, 1}, {&soon, 1}, {&open, 1}};
  const BatchContext merged(runs, {});
  const Rows<int> rows{13, 1, 13, 4};
  for (const auto& [what, servable] : forms()) {
    CAPTURE(what);
    const Outcomes<double> outcomes = servable.serve_batch(Batch<int>(rows), merged);
    REQUIRE(outcomes.size() == 4);
    CHECK(outcomes[0].status() == Status::deadline_exceeded);
    CHECK(*outcomes[1] == 2);
    CHECK(outcomes[2].status() == Status::deadline_exceeded);
    CHECK(*outcomes[3] == 8);
    CHECK(servable.serve(1, soon).status() == Status::deadline_exceeded);
  }
}

TEST_CASE("waiting for a later answer ends at the deadline of the request's own clock",
          "[author]") {
  HandClock clock;
  std::unique_ptr<Completion<int>> kept;
  const Servable slow("slow", [&](int n, Completion<int> done) {
    if (n == 0) clock.advance(5ms);
    if (n == 1) return done(1);
    kept = std::make_unique<Completion<int>>(std::move(done));
  });
  const auto in_time = slow.serve(1, {.deadline = clock.now() + 3ms});
  CHECK(in_time == Result<int>(1));
  const auto late = slow.serve(0, {.deadline = clock.now() + 3ms});
  CHECK(late.status() == Status::deadline_exceeded);
  REQUIRE(kept != nullptr);
  (*kept)(7);  // nobody listens any more, and nothing breaks
}
