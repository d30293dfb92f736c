#include <galley/compose/ensemble.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/core/slot.hpp>
#include <galley/testing/contracts/servable.hpp>
#include <galley/testing/manual_executor.hpp>

#include <support/allocations.hpp>
#include <support/batching.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::Context;
using galley::ensemble;
using galley::EnsembleStatistics;
using galley::Error;
using galley::First;
using galley::MajorityVote;
using galley::map;
using galley::Mean;
using galley::member;
using galley::Outcomes;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::SoftVote;
using galley::stacked;
using galley::Status;
using galley::Tensor;
using galley::Votes;
using galley::WeightedMean;
using support::BatchLog;

namespace {

Servable<int, double> plus(std::string name, double by) {
  return map(std::move(name), [by](int n) { return n + by; });
}

/// Answers `by` and refuses one row.
Servable<int, double> refusing(std::string name, int bad,
                               Status status = Status::invalid_argument) {
  return map(std::move(name), [bad, status](int n) -> Result<double> {
    if (n == bad) return Error(status, "not " + std::to_string(n));
    return n;
  });
}

Servable<int, int> labelled(std::string name, int label, std::shared_ptr<std::vector<int>> asked) {
  return galley::map_batch(std::move(name), [label, asked](const galley::Batch<int>& rows) {
    Outcomes<int> labels;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      asked->push_back(rows[i]);
      labels.survivors().push_back(label < 0 ? rows[i] : label);
    }
    return labels;
  });
}

template <class Graph>
EnsembleStatistics statistics_of(const Graph& graph) {
  EnsembleStatistics statistics;
  REQUIRE(graph.control("", statistics).has_value());
  return statistics;
}

const auto number_of = [](const Votes<double>& votes) {
  return static_cast<int>(votes.answered());
};

}  // namespace

TEST_CASE("the same rows go to every member, and what they say of each is combined", "[ensemble]") {
  const auto graph = ensemble(Mean{}, {plus("a", 1), plus("b", 2), plus("c", 6)});
  CHECK(graph.name() == "ensemble(a, b, c)");
  CHECK(graph.traits().inline_only);
  CHECK(graph.serve(1) == Result<double>(4.0));
  const Outcomes<double> many = graph.serve_rows(Rows<int>{1, 2, 3});
  CHECK(many.survivors() == Rows<double>{4, 5, 6});
  support::BatchEar<double> ear;
  graph.submit_rows(Rows<int>{7}, {}, ear.listen(1));
  CHECK(ear.value() == 10);
}

TEST_CASE("a row that a member fails, fails with that member's status and name", "[ensemble]") {
  const auto graph =
      ensemble(Mean{}, {plus("a", 1), refusing("b", 2), refusing("c", 2, Status::unavailable)});
  const Outcomes<double> many = graph.serve_rows(Rows<int>{1, 2, 3});
  CHECK(many[0].has_value());
  CHECK(many[1].error() ==
        Error(Status::invalid_argument, "fewer than 3 of 3 members answered: member \"b\": not 2"));
  CHECK(many[2].has_value());
}

TEST_CASE("a quorum answers without those that failed", "[ensemble]") {
  const auto graph =
      ensemble(Mean{}, {plus("a", 1), refusing("b", 2), refusing("c", 3)}, {.quorum = 2});
  CHECK(graph.serve(2) == Result<double>(2.5));
  CHECK(graph.serve(3) == Result<double>(3.5));
  const auto most =
      ensemble(Mean{}, {refusing("a", 2), refusing("b", 2), refusing("c", 3)}, {.quorum = 2});
  CHECK(most.serve(2).error() ==
        Error(Status::invalid_argument, "fewer than 2 of 3 members answered: member \"a\": not 2"));
}

TEST_CASE("a default stands in for a member that failed, but not for all of them", "[ensemble]") {
  const auto graph = ensemble(Mean{}, {member(plus("a", 0)), member(refusing("b", 2), 10.0)});
  CHECK(graph.serve(2) == Result<double>(6.0));
  CHECK(graph.serve(3) == Result<double>(3.0));
  const auto none =
      ensemble(Mean{}, {member(refusing("a", 2), 1.0), member(refusing("b", 2), 1.0)});
  CHECK(none.serve(2).status() == Status::invalid_argument);
}

TEST_CASE("rows whose quorum is out of reach are not asked of the rest", "[ensemble]") {
  const auto log = std::make_shared<BatchLog>();
  const auto odd = map("odd", [](int n) -> Result<int> {
    if (n % 2 == 0) return Error(Status::invalid_argument, "even");
    return n;
  });
  const auto sum = [](const Votes<int>& votes) { return *votes[0].value + *votes[1].value; };
  const auto graph = ensemble(sum, {odd, support::logged(log)});
  const std::vector<galley::Key> keys{1, 2, 3, 4};
  const Outcomes<int> many = graph.serve_rows(Rows<int>{1, 2, 3, 4}, {}, {.keys = keys});
  CHECK(many.survivors() == Rows<int>{11, 33});
  CHECK(log->batches == std::vector<std::vector<int>>{{1, 3}});
  CHECK(log->keys == std::vector<std::vector<galley::Key>>{{1, 3}});
}

TEST_CASE("of rows whose vote is decided, no more members are asked", "[ensemble]") {
  const auto a = std::make_shared<std::vector<int>>(), b = std::make_shared<std::vector<int>>(),
             c = std::make_shared<std::vector<int>>();
  const auto graph =
      ensemble(MajorityVote{}, {labelled("a", -1, a), labelled("b", 1, b), labelled("c", 2, c)});
  CHECK(graph.serve_rows(Rows<int>{1, 2, 1, 3}).survivors() == Rows<int>{1, 2, 1, 3});
  CHECK(*a == std::vector<int>{1, 2, 1, 3});
  CHECK(*b == std::vector<int>{1, 2, 1, 3});
  CHECK(*c == std::vector<int>{2, 3});
  const EnsembleStatistics seen = statistics_of(graph);
  CHECK(seen.members[2] ==
        EnsembleStatistics::OfMember{.name = "c", .answered = 2, .failed = 0, .cut_off = 2});
  CHECK(seen.inline_runs == 1);
  CHECK(seen.forked == 0);
}

TEST_CASE("a vote that nothing decides says so", "[ensemble]") {
  const auto one = map("one", [](int) { return 1; });
  const auto two = map("two", [](int) { return 2; });
  const auto bad = map("bad", [](int) -> Result<int> { return Error(Status::unavailable); });
  const auto graph = ensemble(MajorityVote{}, {one, bad, two});
  CHECK(graph.serve(0).error() ==
        Error(Status::unavailable,
              "2 of 3 members answered, which does not decide the vote: member \"bad\": bad"));
  CHECK(ensemble(MajorityVote{}, {one, bad, one}).serve(0) == Result<int>(1));
  CHECK(ensemble(MajorityVote{}, {one, bad, two}, {.quorum = 2}).serve(0) == Result<int>(1));
}

TEST_CASE("the first that answers stands for the others, which are not asked", "[ensemble]") {
  const auto asked = std::make_shared<std::vector<int>>();
  const auto small = map("small", [](int n) -> Result<int> {
    if (n > 9) return Error(Status::invalid_argument, "too large");
    return n;
  });
  const auto graph = ensemble(First{}, {small, labelled("large", -1, asked)});
  CHECK(graph.serve_rows(Rows<int>{1, 20, 3}).survivors() == Rows<int>{1, 20, 3});
  CHECK(*asked == std::vector<int>{20});
}

TEST_CASE("the first of one member is that member, errors and all", "[ensemble]") {
  const auto bare = refusing("a", 2);
  const auto graph = ensemble(First{}, {bare});
  for (int n = 0; n < 4; ++n) CHECK(graph.serve(n) == bare.serve(n));
  const galley::ManualExecutor executor;
  const auto later = ensemble(First{}, {galley::on(executor, bare)});
  CHECK_FALSE(later.traits().inline_only);
  for (int n = 0; n < 4; ++n) {
    support::BatchEar<double> ear;
    later.submit(n, {}, ear.listen());
    executor.run_ready();
    CHECK(ear.heard[0].result() == bare.serve(n));
    CHECK(later.serve(n) == bare.serve(n));
  }
  const EnsembleStatistics seen = statistics_of(later);
  CHECK(seen.members[0].answered == 6);
  CHECK(seen.members[0].failed == 2);
}

TEST_CASE("a combiner may be a function of the votes", "[ensemble]") {
  const auto graph = ensemble(number_of, {plus("a", 1), refusing("b", 2)}, {.quorum = 1});
  CHECK(graph.serve_rows(Rows<int>{1, 2}).survivors() == Rows<int>{2, 1});
  const auto generic =
      ensemble([](const auto& votes) { return *votes.first() * 2; }, {plus("a", 1), plus("b", 2)});
  CHECK(generic.serve(1) == Result<double>(4.0));
}

TEST_CASE("what a combiner throws or refuses for a row is that row's error", "[ensemble]") {
  const auto picky = [](const Votes<double>& votes) -> Result<double> {
    if (*votes[0].value == 2) throw std::runtime_error("boom");
    if (*votes[0].value == 3) return Error(Status::invalid_argument, "three");
    return *votes[0].value;
  };
  const auto graph = ensemble(picky, {plus("a", 0), plus("b", 0)});
  const Outcomes<double> many = graph.serve_rows(Rows<int>{1, 2, 3, 4});
  CHECK(many.survivors() == Rows<double>{1, 4});
  CHECK(many[1].error() == Error(Status::internal, "ensemble(a, b): threw: boom"));
  CHECK(many[2].error() == Error(Status::invalid_argument, "ensemble(a, b): three"));
}

namespace {

/// Takes whole batches, and throws for those with a 2 in them.
struct Brittle {
  double combine(const Votes<double>& votes) const {
    if (*votes[0].value == 2) throw std::runtime_error("boom");
    return *votes[0].value;
  }
  std::optional<Rows<double>> combine_rows(const galley::BatchVotes<double>& votes) const {
    for (const double value : *votes.members[0]) {
      if (value == 2) throw std::runtime_error("boom");
    }
    return *votes.members[0];
  }
};

}  // namespace

TEST_CASE("what a combiner throws for a batch is looked for row by row", "[ensemble]") {
  const auto graph = ensemble(Brittle{}, {plus("a", 0), plus("b", 0)});
  CHECK(graph.serve_rows(Rows<int>{1, 2, 3}).survivors() == Rows<double>{1, 3});
  CHECK(graph.serve_rows(Rows<int>{1, 3}).survivors() == Rows<double>{1, 3});
}

TEST_CASE("blocks of tensors are combined as a block, and alike row by row", "[ensemble]") {
  const auto scaled = [](std::string name, float by) {
    return galley::map_batch(std::move(name), [by](const Rows<Tensor>& rows) {
      const Tensor in = *rows.dense();
      Tensor out = *Tensor::empty(galley::f32, in.shape());
      const auto to = *out.mutable_span<float>();
      const auto from = *in.span<float>();
      for (std::size_t i = 0; i < to.size(); ++i) to[i] = by * from[i];
      return *Rows<Tensor>::of_block(out);
    });
  };
  const auto graph = ensemble(SoftVote{}, {scaled("a", 1), scaled("b", 0.3F), scaled("c", -2)});
  const Rows<Tensor> rows =
      *Rows<Tensor>::of_block(*Tensor::copy_of({1.0F, 0.1F, 2.0F, 7.0F, -1.0F, 0.3F}, {3, 2}));
  const Outcomes<Tensor> together = graph.serve_rows(rows);
  REQUIRE(together.survivors().block() != nullptr);
  for (std::size_t i = 0; i < 3; ++i) CHECK(*graph.serve(rows[i]) == *together[i]);
}

TEST_CASE("a stack is what a model over the members takes", "[ensemble]") {
  const auto top = map("top", [](const std::vector<double>& votes) { return votes[1] - votes[0]; });
  const auto graph = stacked(top, {plus("a", 1), plus("b", 3)});
  CHECK(graph.serve(5) == Result<double>(2.0));
  CHECK(graph.name() == "ensemble(a, b) | top");
}

TEST_CASE("members answer later in parallel, through their own submit", "[ensemble]") {
  const galley::ManualExecutor executor;
  const auto graph = ensemble(Mean{}, {galley::on(executor, plus("a", 1)), plus("b", 2),
                                       galley::on(executor, plus("c", 6))});
  CHECK_FALSE(graph.traits().inline_only);
  support::BatchEar<double> ear;
  graph.submit_rows(Rows<int>{1, 2}, {}, ear.listen(2));
  CHECK(executor.pending() == 2);
  CHECK(ear.answers == 0);
  executor.run_ready();
  REQUIRE(ear.answers == 1);
  CHECK(ear.heard.survivors() == Rows<double>{4, 5});
  CHECK(graph.serve(1) == Result<double>(4.0));
}

TEST_CASE("an ensemble is submitted to at once before its serve waits for any member",
          "[ensemble]") {
  const galley::ManualExecutor executor;
  std::optional<galley::Completion<double>> kept;
  const Servable<int, double> first(
      "first", [&](int, galley::Completion<double> done) { kept.emplace(std::move(done)); });
  const auto last = map("last", [&](int n) {
    (*kept)(7.0);  // only now does the first answer
    return n * 1.0;
  });
  const auto graph = ensemble(Mean{}, {first, plus("a", 0), galley::on(executor, last)});
  CHECK(graph.serve(1) == Result<double>(3.0));
  // Where the executors differ no thread can wait for both: then they are asked in turn.
  const galley::ManualExecutor other;
  const auto two =
      ensemble(Mean{}, {galley::on(executor, plus("a", 1)), galley::on(other, plus("b", 3))});
  CHECK(two.serve(1) == Result<double>(3.0));
}

TEST_CASE("members over one slot see one version of it", "[ensemble]") {
  const auto made = galley::slot("slot", plus("one", 1));
  const auto publish = map("publish", [&](int n) {
    CHECK(made.publisher.publish(plus("two", 100)).has_value());
    return static_cast<double>(n);
  });
  const auto graph = ensemble(Mean{}, {made.servable, publish, made.servable});
  CHECK(graph.serve(0) == Result<double>(2.0 / 3));
  CHECK(*graph.serve(0) > 60);
}

TEST_CASE("ensembles that cannot be say why", "[ensemble]") {
  const auto why = [](const auto& graph) {
    const Result<void> checked = graph.check();
    return checked.has_value() ? std::string("ok") : to_string(checked.error());
  };
  const auto a = plus("a", 1);
  CHECK(why(ensemble(Mean{}, {a, a}, {.quorum = 3})) ==
        "failed_precondition: ensemble(a, a): options.quorum: expected at most 2, as there are "
        "members, got 3");
  CHECK(why(ensemble(Mean{}, std::vector<Servable<int, double>>{})) ==
        "failed_precondition: ensemble(): expected 1 to 256 members, got 0");
  CHECK(why(ensemble(Mean{}, {a}, {.cut_off = std::chrono::milliseconds(1)})) ==
        "failed_precondition: ensemble(a): options.cut_off: needs an executor, whose time it is");
  CHECK(why(ensemble(WeightedMean{{1, 2}}, {a})) ==
        "failed_precondition: ensemble(a): weighted_mean: weights: expected one for each of 1 "
        "members, got 2");
  CHECK(ensemble(Mean{}, {a, a}, {.quorum = 3}).serve(1).status() == Status::failed_precondition);
}

TEST_CASE("ensembles keep the contract of servables", "[ensemble]") {
  const galley::ManualExecutor executor;
  const std::vector<int> samples{1, 2, 3, 4, 2};
  const auto a = plus("a", 1), b = refusing("b", 2), c = refusing("c", 3, Status::unavailable);
  for (const auto& graph :
       {ensemble(Mean{}, {a, b, c}), ensemble(Mean{}, {a, b, c}, {.quorum = 2}),
        ensemble(First{}, {b, c}), ensemble(executor, Mean{}, {a, galley::on(executor, b), c}),
        ensemble(executor, First{}, {c, b}, {.fork = galley::EnsembleOptions::Fork::always})}) {
    const auto failures = galley::check_servable<int, double>(graph, samples, std::equal_to<>(),
                                                              [&] { executor.run_all(); });
    CHECK(failures == std::vector<galley::ContractFailure>{});
  }
}

TEST_CASE("an ensemble describes itself", "[ensemble]") {
  const auto graph = ensemble(WeightedMean{{1, 2}},
                              {member(plus("a", 1)), member(plus("b", 2), 0.0)}, {.quorum = 1});
  const galley::Description d = graph.describe();
  CHECK(d.kind == "ensemble");
  using Options = std::vector<std::pair<std::string, std::string>>;
  CHECK(d.options == Options{{"combiner", "weighted_mean"},
                             {"weights", "1, 2"},
                             {"quorum", "1"},
                             {"otherwise", "b"}});
  REQUIRE(d.children.size() == 2);
  CHECK(d.children[1].name == "b");
  EnsembleStatistics statistics;
  CHECK(graph.control("a", statistics).status() == Status::unimplemented);
  int other = 0;
  CHECK(graph.control("", other).status() == Status::unimplemented);
}

TEST_CASE("an ensemble of up to eight adds no allocation", "[ensemble]") {
  const auto graph = ensemble(Mean{}, {plus("a", 1), plus("b", 2), plus("c", 6)});
  const auto single = ensemble(First{}, {plus("a", 1)});
  const int row = 1;
  const support::AllocationCount count;
  const Result<double> three = graph.serve(row);
  const Result<double> one = single.serve(row);
  CHECK(count.so_far() == 0);
  CHECK(*three + *one == 6);
}
